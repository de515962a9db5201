"""How accurate is which classifier on IMDB's official test split, and what does it cost to train?

    python benchmarks/accuracy.py                          # every row that is not there yet
    python benchmarks/accuracy.py --rows default,tfidf     # these only
    python benchmarks/accuracy.py --limit 500              # a quick try, kept out of the results

All rows are measured on one machine with one set of versions: rows of other conditions are dropped
from the results. Every finished row is written at once, so a run that was stopped goes on.

The test split chooses nothing. A recipe sees the training split alone; a baseline's one
hyper-parameter is chosen on 10 % of the training split, after which it is fitted on all of it.
Training time runs from raw texts to a fitted model: cleaning, tokens, vectors, a recipe's own
validation and its saving included, nothing taken from a cache. Choosing a hyper-parameter is timed
apart and not counted, in the baselines' favour. Prediction runs from raw texts to labels.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import datasets
import datasets.config
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console

from baselines import Baseline, FastTextBigrams, NbNgrams, TfidfNgrams
from common import (
    DEFAULT_SOURCE,
    RESULTS,
    WORK,
    counted,
    differences,
    load_binary_reviews,
    machine_facts,
    package_versions,
    read_json,
    run_script,
    sample,
    usable_cores,
    write_json,
    write_text,
)
from sentiment_lstm.data import fingerprint, split_reviews
from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.metrics import wilson_interval
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import Recipe, load_recipe
from sentiment_lstm.training import EpochRecord, train
from tables import duration, markdown, rich_table

__all__ = ["RecipeLstm", "accuracy"]

_NAME = "accuracy"
_SAMPLE_SEED = 0  # of --limit
_HELD_OUT = 0.1  # of the training split, to choose a baseline's hyper-parameter on
_PACKAGES = (
    "sentiment-lstm",
    "torch",
    "transformers",
    "scikit-learn",
    "numpy",
    "scipy",
)


def accuracy(
    rows: Annotated[
        str, typer.Option(help="Only these rows, separated by commas: recipes or baselines.")
    ] = "",
    recipes: Annotated[
        str, typer.Option(help="Recipes that are rows: names or .toml files, separated by commas.")
    ] = "classic,default",
    seeds: Annotated[str, typer.Option(help="Seeds of each row, separated by commas.")] = "0",
    source: Annotated[
        str, typer.Option(help="The official IMDB splits: a folder, or imdb for the hub's copy.")
    ] = DEFAULT_SOURCE,
    limit: Annotated[
        int | None, typer.Option(min=20, help="Use this many reviews of each split, as a try.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure rows again that are there already.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Where to write; benchmarks/results, or benchmarks/work with --limit."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Where the trained models stay; benchmarks/work.")
    ] = None,
) -> None:
    """Measure accuracy and training time on the official IMDB splits."""
    console = Console(highlight=False)
    threads = threads or usable_cores()
    torch.set_num_threads(threads)
    work = work or WORK
    results = results or (RESULTS if limit is None else work)
    models = work / (_NAME if limit is None else f"{_NAME}-{limit}")
    chosen = _choose_rows(rows, recipes, threads=threads, models=models, console=console)
    seed_list = _whole_numbers(seeds, "--seeds")

    reviews = load_binary_reviews(source)
    reviews = datasets.DatasetDict(
        {name: sample(split, limit, seed=_SAMPLE_SEED) for name, split in reviews.items()}
    )
    conditions = {
        "source": source,
        "reviews": {name: len(split) for name, split in reviews.items()},
        "data": {name: fingerprint(split) for name, split in reviews.items()},
        "threads": threads,
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
    }
    path = results / f"{_NAME}.json"
    runs = _known_runs(path, conditions, console)
    for row in chosen:
        settings = json.loads(json.dumps(row.settings))
        # What was measured with other settings is no longer this row.
        runs = [run for run in runs if run["row"] != row.name or run["settings"] == settings]
        for seed in seed_list:
            if any(run["row"] == row.name and run["seed"] == seed for run in runs) and not again:
                console.print(f"[bold]{row.title}[/], seed {seed}: kept; --again measures it anew")
                continue
            console.print(f"[bold]{row.title}[/], seed {seed}")
            with console.status(f"{row.title}, seed {seed}"):
                run = _measure(row, reviews, seed)
            console.print(
                f"  accuracy {run['accuracy']:.2%}, trained in {duration(run['training_seconds'])}"
            )
            runs = [old for old in runs if (old["row"], old["seed"]) != (row.name, seed)]
            runs.append({**run, "settings": settings})
            content = {"question": (__doc__ or "").splitlines()[0], **conditions, "runs": runs}
            write_json(path, content)
            write_text(path.with_suffix(".md"), markdown(content))
    content = read_json(path)
    if content is not None:
        console.print(rich_table(content))
        console.print(f"Written to {path} and {path.with_suffix('.md').name}")


class RecipeLstm:
    """The library's LSTM by one recipe, as `sentiment-lstm train` trains it."""

    def __init__(self, recipe: Recipe, models: Path, console: Console) -> None:
        self.name = recipe.name
        self.title = f"LSTM, recipe {recipe.name}"
        self.settings = recipe.to_dict()
        self._recipe = recipe
        self._models = models
        self._console = console

    def fit(self, reviews: datasets.Dataset, *, seed: int) -> dict[str, Any]:
        """Train on these reviews alone, and load the saved model back."""
        self._folder = self._models / f"{self.name}-seed{seed}"
        with _empty_token_cache():
            result = train(
                datasets.DatasetDict({"train": reviews}),
                self._recipe,
                self._folder,
                seed=seed,
                restart=True,
                on_epoch=self._show,
            )
        self._classifier = load(self._folder)
        return {
            "epoch": result.best_epoch,
            "optimization_seconds": round(result.seconds, 2),
            "padding_share": round(result.padding_share, 4),
        }

    def predict(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Give a class id, 0 or 1, for every text."""
        return self._classifier.predict_proba(texts).argmax(axis=1)

    def size_bytes(self) -> int:
        """Count what loading the model needs; not the card, the pictures and the logs."""
        names = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
        return sum((self._folder / name).stat().st_size for name in names)

    def _show(self, record: EpochRecord) -> None:
        validation = (
            ""
            if record.validation_accuracy is None
            else f", validation accuracy {record.validation_accuracy:.2%}"
        )
        self._console.print(
            f"  epoch {record.epoch}/{self._recipe.training.epochs}: train accuracy "
            f"{record.train_accuracy:.2%}{validation}, {record.seconds:.0f} s"
        )


def _choose_rows(
    rows: str, recipes: str, *, threads: int, models: Path, console: Console
) -> list[RecipeLstm | Baseline]:
    """Build the rows that were asked for; fastText's only where its package is installed."""
    known: dict[str, RecipeLstm | Baseline] = {}
    for name in _names(recipes):
        row = RecipeLstm(load_recipe(name), models, console)
        known[row.name] = row
    for row in (TfidfNgrams(), NbNgrams(), FastTextBigrams(threads)):
        known[row.name] = row
    asked = _names(rows) or list(known)
    for name in asked:
        if name not in known:
            raise DataError(
                f"--rows: there is no row {name!r}; there are {', '.join(known)}."
                f"{nearest(name, known)} A recipe of your own becomes a row by --recipes."
            )
    if FastTextBigrams.name in asked and not FastTextBigrams.installed():
        console.print(
            f"[bold]{FastTextBigrams.title}[/]: skipped, because the package fasttext-wheel is not "
            r"installed. Run `pip install 'sentiment-lstm\[benchmarks]'` to measure it, too."
        )
        asked.remove(FastTextBigrams.name)
    return [known[name] for name in asked]


def _known_runs(path: Path, conditions: dict[str, Any], console: Console) -> list[dict[str, Any]]:
    """The runs on disk that were measured under the same conditions."""
    before = read_json(path)
    if before is None:
        return []
    changed = differences({key: before.get(key) for key in conditions}, conditions)
    if changed:
        console.print(
            f"{path.name} was measured under other conditions ({'; '.join(changed)}): "
            f"{counted(len(before.get('runs', [])), 'row')} dropped."
        )
        return []
    return before["runs"]


def _measure(
    row: RecipeLstm | Baseline, reviews: datasets.DatasetDict, seed: int
) -> dict[str, Any]:
    """Fit one row on the training split, and compare what it predicts with the test labels."""
    facts: dict[str, Any] = {}
    if isinstance(row, RecipeLstm):
        start = time.perf_counter()
        facts["training"] = row.fit(reviews["train"], seed=seed)
        training_seconds = time.perf_counter() - start
    else:
        start = time.perf_counter()
        value, validation_accuracy = _choose_value(row, reviews["train"], seed)
        facts["selection"] = {
            "parameter": row.parameter,
            "value": value,
            "held_out": _HELD_OUT,
            "validation_accuracy": validation_accuracy,
            "seconds": round(time.perf_counter() - start, 2),
        }
        start = time.perf_counter()
        row.fit(*_columns(reviews["train"]), value=value, seed=seed)
        training_seconds = time.perf_counter() - start
    texts, labels = _columns(reviews["test"])
    start = time.perf_counter()
    predicted = row.predict(texts)
    prediction_seconds = time.perf_counter() - start
    right = int((predicted == labels).sum())
    return {
        "row": row.name,
        "title": row.title,
        "seed": seed,
        "accuracy": right / len(labels),
        "interval": list(wilson_interval(right, len(labels))),
        "reviews": len(labels),
        "training_seconds": round(training_seconds, 2),
        "prediction_reviews_per_second": round(len(labels) / prediction_seconds, 1),
        "size_bytes": row.size_bytes() if isinstance(row, RecipeLstm) else _saved_size(row),
        **facts,
    }


def _choose_value(row: Baseline, reviews: datasets.Dataset, seed: int) -> tuple[float, float]:
    """Choose a baseline's hyper-parameter on held-out training reviews; the smallest of equals."""
    fitted, held_out = split_reviews(reviews, test_size=_HELD_OUT, seed=seed)
    found = row.accuracies(*_columns(fitted), *_columns(held_out), seed=seed)
    best = max(found, key=lambda value: (found[value], -value))
    return best, found[best]


def _columns(reviews: datasets.Dataset) -> tuple[list[str], NDArray[np.int64]]:
    return list(reviews["text"]), np.asarray(reviews["label"], dtype=np.int64)


def _saved_size(row: Baseline) -> int:
    with tempfile.TemporaryDirectory() as folder:
        row.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).iterdir())


@contextlib.contextmanager
def _empty_token_cache() -> Iterator[None]:
    """Let nothing be read from the cache of `datasets`, which would hide the tokenizer's time."""
    before = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = before


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _whole_numbers(text: str, option: str) -> list[int]:
    try:
        return [int(name) for name in _names(text)] or [0]
    except ValueError as error:
        raise DataError(
            f"{option}: expected whole numbers separated by commas, got {text!r}."
        ) from error


if __name__ == "__main__":
    run_script(accuracy)
