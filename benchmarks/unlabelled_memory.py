"""Does a corpus of unlabelled texts larger than memory need more memory than a small one?

IMDB's 50,000 unlabelled reviews are written once, 4 and 16 times, each copy with another ending, so
that no text stands twice. Each size goes through all that a training does with unlabelled texts, in
a process of its own whose memory is read twenty times a second: anonymous memory, which must stay,
and resident memory, of which the pages of mapped files can go. Every text is read, tokenized and
asked about; of the batches, which all take the same memory, only the first are trained on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow
import pyarrow.parquet
import typer
from numpy.typing import NDArray
from rich.console import Console

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    WORK,
    commit,
    load_binary_reviews,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    read_json,
    run_script,
    text_table,
    write_json,
    write_text,
)
from sentiment_lstm.errors import DataError

_NAME = "unlabelled_memory"
_PACKAGES = ("sentiment-lstm", "torch", "transformers", "datasets", "pyarrow", "numpy")
_STAGES = ("reading", "tokens", "pretraining", "soft labels", "training", "n-grams")
_ROWS_AT_ONCE = 5_000
_MIB = 1 / 1024  # of the KiB that the system counts


def unlabelled_memory(
    source: Annotated[
        str, typer.Option(help="Reviews with a split unsupervised: a folder, or imdb.")
    ] = DEFAULT_SOURCE,
    times: Annotated[
        list[int] | None, typer.Option(min=1, help="How many times the texts; 1, 4 and 16.")
    ] = None,
    texts: Annotated[
        int | None, typer.Option(help="The first so many unlabelled texts; all of them.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of each training.")] = 40,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a .toml file.")] = "accurate",
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
    corpus: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Measure the memory of learning from unlabelled texts at several sizes of the corpus."""
    if corpus is not None:
        print(json.dumps(_measure(corpus, source, recipe, steps)))
        return
    console = Console(highlight=False)
    path = (results or RESULTS) / f"{_NAME}.json"
    settings = {"source": source, "recipe": recipe, "steps": steps, "texts": texts}
    # What was measured of other sizes stays: the largest one takes its time.
    before = read_json(path) or {}
    same = all(before.get(name) == value for name, value in settings.items())
    kept = {run["times"]: run for run in before.get("runs", [])} if same else {}
    for number in times or [1, 4, 16]:
        folder = WORK / _NAME / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with console.status(f"{number} times"):
            size = _write_corpus(source, number, texts, folder / "corpus.parquet")
            kept[number] = {"times": number, "texts": size}
            kept[number] |= _run(folder, source, recipe, steps)
        shutil.rmtree(folder)
        console.print(f"{number} times: {kept[number]['stages']}")
    content = {
        "question": (__doc__ or "").splitlines()[0],
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
        "commit": commit(),
        **settings,
        "runs": [kept[number] for number in sorted(kept)],
    }
    write_json(path, content)
    write_text(path.with_suffix(".md"), _markdown(content))
    console.print(text_table(_head(content), _cells(content), title="Peak anonymous memory, MiB"))
    console.print(f"Written to {path} and {path.with_suffix('.md').name}")


def _write_corpus(source: str, number: int, limit: int | None, path: Path) -> int:
    texts = load_binary_reviews(source)["unsupervised"]["text"][:limit]
    schema = pyarrow.schema([("text", pyarrow.string())])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for copy in range(number):
            for start in range(0, len(texts), _ROWS_AT_ONCE):
                part = texts[start : start + _ROWS_AT_ONCE]
                ending = f" (copy {copy})" if copy else ""
                writer.write_table(pyarrow.table({"text": [text + ending for text in part]}))
    return number * len(texts)


def _run(folder: Path, source: str, recipe: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, str(Path(__file__)), "--corpus", str(folder / "corpus.parquet")]
    command += ["--source", source, "--recipe", recipe, "--steps", str(steps)]
    environment = {**os.environ, "HF_DATASETS_CACHE": str((folder / "cache").absolute())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise DataError(f"The measurement failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(corpus: Path, source: str, recipe: str, steps: int) -> dict[str, Any]:
    """Go through the stages of a training, the batches cut short."""
    import datasets

    from sentiment_lstm.building import build_model
    from sentiment_lstm.data import load_unlabelled
    from sentiment_lstm.finishing import fit_ngrams
    from sentiment_lstm.lessons import prepare_lessons
    from sentiment_lstm.pretraining import pretrain
    from sentiment_lstm.quiet import quiet_libraries
    from sentiment_lstm.recipes import load_recipe
    from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
    from sentiment_lstm.trainer import make_trainer
    from sentiment_lstm.unlabelled import unlabelled_texts

    chosen = load_recipe(recipe)
    tokenizer = load_tokenizer(clean_markup=chosen.tokens.clean_markup)
    splits = load_binary_reviews(source)
    train = datasets.DatasetDict({"train": splits["train"]})["train"]
    del splits
    model = build_model(chosen, tokenizer, train.features["label"].names)
    work = corpus.parent
    memory = _Memory()
    with quiet_libraries():
        with memory.stage("reading"):
            texts = unlabelled_texts(load_unlabelled(corpus), train.features)
        with memory.stage("tokens"):
            tokens = [tokenize_reviews(part, tokenizer) for part in (train, texts)]
        with memory.stage("pretraining"):
            (work / "pretraining").mkdir()
            pretrain(
                model,
                tokens,
                chosen.pretraining,
                work=work / "pretraining",
                seed=0,
                max_steps=steps,
            )
        with memory.stage("soft labels"):
            lessons = prepare_lessons(
                train, texts, chosen, tokenizer, teacher=_LengthTeacher(), folder=work / "soft"
            )
        with memory.stage("training"):
            trainer = make_trainer(
                model,
                chosen,
                train=lessons.rows,
                reviews=lessons.reviews,
                validation=None,
                work=work / "training",
                seed=0,
            )
            trainer.args.max_steps = steps
            trainer.train()
            share = trainer.padding_share()
        with memory.stage("n-grams"):
            fit_ngrams(model, lessons)
    return {"before_mib": memory.before, "stages": memory.stages, "padding_share": share}


class _LengthTeacher:
    """Costs nothing, so that what is measured is the asking."""

    name = identity = "length"

    def predict_proba(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        positive = np.array([min(len(text), 2000) / 2000 for text in texts], dtype=np.float32)
        return np.stack([1 - positive, positive], axis=1)


class _Memory:
    """The peaks of this process's memory, a stage at a time."""

    def __init__(self) -> None:
        self.before = round(_anonymous_and_resident()[0])
        self.stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        peaks, over, started = [0.0, 0.0], threading.Event(), time.perf_counter()

        def watch() -> None:
            while True:
                for place, value in enumerate(_anonymous_and_resident()):
                    peaks[place] = max(peaks[place], value)
                if over.wait(0.05):
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            self.stages[name] = {
                "anonymous_mib": round(peaks[0]),
                "resident_mib": round(peaks[1]),
                "seconds": round(time.perf_counter() - started, 1),
            }


def _anonymous_and_resident() -> tuple[float, float]:
    """Read what the kernel counts of this process, in MiB."""
    counted = {}
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "VmRSS"):
            counted[name] = int(value.split()[0]) * _MIB
    return counted["RssAnon"], counted["VmRSS"]


def _head(content: dict[str, Any]) -> list[str]:
    return ["Stage", *(f"{run['times']}x: {run['texts']:,} texts" for run in content["runs"])]


def _cells(content: dict[str, Any]) -> list[list[str]]:
    runs = content["runs"]
    rows = [["before", *(f"{run['before_mib']:,}" for run in runs)]]
    for name in _STAGES:
        stages = [run["stages"][name] for run in runs]
        rows.append([name, *(f"{stage['anonymous_mib']:,}" for stage in stages)])
    return rows


def _markdown(content: dict[str, Any]) -> str:
    runs = content["runs"]
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    others = [
        [
            name,
            *(
                f"{run['stages'][name]['resident_mib']:,}, {run['stages'][name]['seconds']:,.0f} s"
                for run in runs
            ),
        ]
        for name in _STAGES
    ]
    return (
        f"Peak anonymous memory by stage, in MiB:\n\n"
        f"{markdown_table(_head(content), _cells(content))}\n"
        "Peak resident memory in MiB, pages of mapped files included, and seconds:\n\n"
        f"{markdown_table(_head(content), others)}\n"
        f"Recipe {content['recipe']}, {content['steps']} batches of each training, beside the "
        f"labelled reviews of `{content['source']}`; "
        f"{machine_line(content['machine'], content['machine']['cores'])}; {versions}.\n"
    )


if __name__ == "__main__":
    run_script(unlabelled_memory)
