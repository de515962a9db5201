"""Does the page in the browser say of real reviews what Python says of them?

Both read the same ONNX file, each review alone: the page on ONNX Runtime's WebAssembly, Python on
its native build. Compared are the probabilities, and the words with their pulls, for each file of
the folder by itself.

The kept result is that of the package's model, with its 32-bit file beside the 8-bit one. In 32
bits the two builds agree to 2e-7. In 8 bits five pulls of 53,131 differ by more than 1e-3, the
largest difference being 0.0128, while probabilities stay within 1e-4: only the 8-bit arithmetic can
be the cause, which rounds activations to 8 bits as it goes.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from playwright.sync_api import sync_playwright

from browsing import ARGUMENTS, CHROMIUM, serving
from common import (
    DEFAULT_SOURCE,
    RESULTS,
    commit,
    load_binary_reviews,
    machine_facts,
    package_versions,
    run_script,
    sample,
    write_json,
)
from sentiment_lstm import artefact, runtime
from sentiment_lstm.serving.static import write_page

__all__ = ["page_parity"]

_CLASSIFY = "async (text) => sentimentModel.classify(text, { explain: true })"


def page_parity(
    model: Annotated[Path, typer.Argument(help="A model folder that was exported.")],
    source: Annotated[str, typer.Option(help="Reviews with a test split.")] = DEFAULT_SOURCE,
    reviews: Annotated[int, typer.Option(min=2, help="How many are compared.")] = 200,
    chromium: Annotated[Path, typer.Option(help="The browser.")] = CHROMIUM,
    seed: Annotated[int, typer.Option(help="Draws the reviews.")] = 0,
    output: Annotated[Path, typer.Option(help="Where the result goes.")] = (
        RESULTS / "page_parity.json"
    ),
) -> None:
    """Compare the page with Python on real reviews, each ONNX file by itself."""
    texts = list(sample(load_binary_reviews(source)["test"], reviews, seed=seed)["text"])
    files, browser = {}, ""
    for path in artefact.onnx_files(model):
        answers, browser, milliseconds = _in_browser(model, path.name, texts, chromium)
        classifier = runtime.load(model, file=path.name, batch_tokens=1)
        files[path.name] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            **_probabilities(classifier, texts, answers),
            **(_words(classifier, texts, answers) if classifier.additive else {}),
            "milliseconds_a_review_median": round(float(np.median(milliseconds)), 1),
        }
    result = {
        "files": files,
        "reviews": len(texts),
        "seed": seed,
        "browser": browser,
        "machine": machine_facts(),
        "versions": package_versions("onnxruntime", "tokenizers", "playwright"),
        "commit": commit(),
    }
    write_json(output, result)
    for name, figures in files.items():
        print(name)
        for key, value in figures.items():
            print(f"  {key}: {value}")


def _probabilities(
    classifier: runtime.OnnxClassifier, texts: list[str], answers: list[dict[str, Any]]
) -> dict[str, Any]:
    expected = classifier.predict_proba(texts)
    found = np.array([answer["probabilities"] for answer in answers])
    differences = np.abs(found - expected).max(axis=1)
    return {
        "largest_difference": float(differences.max()),
        "median_difference": float(np.median(differences)),
        "labels_that_differ": int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
    }


def _words(
    classifier: runtime.OnnxClassifier, texts: list[str], answers: list[dict[str, Any]]
) -> dict[str, Any]:
    """Count the reviews that fall into other words, and compare the pulls of the others."""
    explained = classifier.explain(texts, label=classifier.labels[1])
    others, differences = 0, [0.0]
    for explanation, answer in zip(explained, answers, strict=True):
        words = [word.text for word in explanation.words]
        if words != [word["text"] for word in answer["words"]]:
            others += 1
            continue
        pulls = zip(explanation.words, answer["words"], strict=True)
        differences += [abs(word.score - found["pull"]) for word, found in pulls]
    return {
        "words": len(differences) - 1,
        "reviews_with_other_words": others,
        "largest_difference_of_a_pull": max(differences),
        "pulls_that_differ_by_more_than_1e-3": sum(one > 1e-3 for one in differences),
    }


def _in_browser(
    model: Path, file: str, texts: list[str], chromium: Path
) -> tuple[list[dict[str, Any]], str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        site = write_page(model, Path(folder) / "page")
        for path in artefact.onnx_files(site / "model"):
            if path.name != file:
                path.unlink()
        with serving(site) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            answers, milliseconds = [], []
            for text in texts:
                started = time.perf_counter()
                answers.append(page.evaluate(_CLASSIFY, text))
                milliseconds.append(1000 * (time.perf_counter() - started))
            version = f"Chromium {browser.version}"
            browser.close()
    return answers, version, milliseconds


if __name__ == "__main__":
    run_script(page_parity)
