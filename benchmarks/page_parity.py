"""Does the page in the browser say of real reviews what Python says of them?

Both read the same ONNX file, each review alone: the page on ONNX Runtime's WebAssembly, Python on
its native build. Compared are the probabilities, and the words with their pulls.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import numpy as np
import typer
from playwright.sync_api import sync_playwright

from common import (
    DEFAULT_SOURCE,
    RESULTS,
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

_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_CLASSIFY = "async (text) => sentimentModel.classify(text, { explain: true })"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def page_parity(
    model: Annotated[Path, typer.Argument(help="A model folder that was exported.")],
    source: Annotated[str, typer.Option(help="Reviews with a test split.")] = DEFAULT_SOURCE,
    reviews: Annotated[int, typer.Option(min=2, help="How many are compared.")] = 200,
    chromium: Annotated[Path, typer.Option(help="The browser.")] = Path("/usr/bin/chromium"),
    seed: Annotated[int, typer.Option(help="Draws the reviews.")] = 0,
    output: Annotated[Path, typer.Option(help="Where the result goes.")] = (
        RESULTS / "page_parity.json"
    ),
) -> None:
    """Compare the page with Python on real reviews."""
    texts = list(sample(load_binary_reviews(source)["test"], reviews, seed=seed)["text"])
    answers, browser, milliseconds = _in_browser(model, texts, chromium)
    classifier = runtime.load(model, batch_tokens=1)
    expected = classifier.predict_proba(texts)
    found = np.array([answer["probabilities"] for answer in answers])
    differences = np.abs(found - expected).max(axis=1)
    result = {
        "file": artefact.onnx_files(model)[0].name,
        "reviews": len(texts),
        "seed": seed,
        "largest_difference": float(differences.max()),
        "median_difference": float(np.median(differences)),
        "labels_that_differ": int((found.argmax(axis=1) != expected.argmax(axis=1)).sum()),
        "milliseconds_a_review_median": round(float(np.median(milliseconds)), 1),
        **(_words(classifier, texts, answers) if classifier.additive else {}),
        "browser": browser,
        "machine": machine_facts(),
        "versions": package_versions("onnxruntime", "tokenizers", "playwright"),
    }
    write_json(output, result)
    for key, value in result.items():
        print(f"{key}: {value}")


def _words(
    classifier: runtime.OnnxClassifier, texts: list[str], answers: list[dict[str, Any]]
) -> dict[str, Any]:
    """Count the reviews that fall into other words, and find the largest difference of a pull."""
    explained = classifier.explain(texts, label=classifier.labels[1])
    others, largest = 0, 0.0
    for explanation, answer in zip(explained, answers, strict=True):
        words = [word.text for word in explanation.words]
        if words != [word["text"] for word in answer["words"]]:
            others += 1
            continue
        pulls = zip(explanation.words, answer["words"], strict=True)
        largest = max(largest, *(abs(word.score - found["pull"]) for word, found in pulls))
    return {"reviews_with_other_words": others, "largest_difference_of_a_pull": largest}


def _in_browser(
    model: Path, texts: list[str], chromium: Path
) -> tuple[list[dict[str, Any]], str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        site = write_page(model, Path(folder) / "page")
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/")
                page.wait_for_selector("body[data-ready]")
                answers, milliseconds = [], []
                for text in texts:
                    started = time.perf_counter()
                    answers.append(page.evaluate(_CLASSIFY, text))
                    milliseconds.append(1000 * (time.perf_counter() - started))
                version = f"Chromium {browser.version}"
                browser.close()
        finally:
            server.shutdown()
            server.server_close()
    return answers, version, milliseconds


if __name__ == "__main__":
    run_script(page_parity)
