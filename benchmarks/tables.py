"""What `accuracy.py` measured, as tables for the terminal and for the README."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from common import counted, foot_mark, markdown_table, text_table
from records import places, where
from sentiment_lstm.behaviour import capability_names, fingerprint, load_cases
from sentiment_lstm.errors import DataError
from sentiment_lstm.metrics import wilson_interval

__all__ = ["Summary", "duration", "markdown", "published", "rich_table", "summarize"]

_HEAD = [
    "Classifier",
    "Accuracy",
    "95 % interval",
    "Seeds",
    "Sentences",
    "Behaviour",
    "ECE",
    "Coverage",
    "Training",
    "Reviews/s",
    "On disk",
]
_TERMINAL = ("Classifier", "Accuracy", "Seeds", "Sentences", "Behaviour", "Training")
_PUBLISHED = Path(__file__).with_name("published.toml")
_OFFICIAL_REVIEWS = {"train": 25_000, "test": 25_000}
_NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One line of the table, over all seeds of a row that were measured in one place."""

    row: str
    title: str
    is_recipe: bool  # of this library
    mark: str  # empty where most rows were measured, else that of a note under the table
    seeds: list[int]
    accuracies: list[float]
    accuracy: float  # mean over the seeds, as all below
    unseen: tuple[float, int] | None  # accuracy on the test reviews of no other split, and how many
    deviation: float | None  # standard deviation over the seeds, from two of them on
    interval: tuple[float, float]  # 95 %, of the choice of test reviews
    sentences: float | None
    behaviour: float | None
    capabilities: dict[str, float]
    calibration_error: float | None
    coverage: float | None
    training_seconds: float
    reviews_per_second: float
    size_bytes: float


def summarize(runs: Sequence[dict[str, Any]]) -> list[Summary]:
    """Join the seeds of each row that were measured in one place, the most accurate row first."""
    cases = fingerprint(load_cases())
    summaries = []
    for place, mark in _marks(runs).items():
        here = [run for run in runs if where(run) == place]
        for name in dict.fromkeys(run["row"] for run in here):
            ours = sorted((run for run in here if run["row"] == name), key=lambda run: run["seed"])
            summaries.append(_summary(ours, mark, cases))
    return sorted(summaries, key=lambda summary: -summary.accuracy)


def markdown(content: dict[str, Any]) -> str:
    """Lay the results out for the README: the tables, and under each how to read it."""
    runs = content["runs"]
    summaries = summarize(runs)
    rows = [_cells(summary) for summary in summaries]
    lines = [_conditions(content), *_choices(runs)]
    parts = [f"{markdown_table(_HEAD, rows)}\n{' '.join(lines)}\n"]
    parts += [f"{note}\n" for note in _twice(summaries, content["reviews"]["test"])]
    parts += [f"{note}\n" for note in _notes(runs)]
    capabilities = [summary for summary in summaries if summary.capabilities]
    if capabilities:
        head = ["Classifier", *capability_names(), "all"]
        rows = [_capability_cells(summary) for summary in capabilities]
        parts.append(
            f"## Behaviour\n\n{markdown_table(head, rows)}\n"
            f"Shares of {len(load_cases())} cases passed; `sentiment-lstm behaviour MODEL` lists "
            "those that a model fails. Invariance asks that the answer stays, not that it is "
            "right, so a classifier that always gives the same one passes it.\n"
        )
    parts.append(_published_section(content))
    return "\n".join(parts)


def rich_table(content: dict[str, Any]) -> Table:
    """Lay the results out for the terminal: the columns that fit there."""
    columns = [_HEAD.index(name) for name in _TERMINAL]
    cells = [_cells(summary) for summary in summarize(content["runs"])]
    rows = [[row[column] for column in columns] for row in cells]
    title = f"{content['reviews']['test']:,} test reviews"
    return text_table(list(_TERMINAL), rows, title=title)


def published(path: Path = _PUBLISHED) -> list[dict[str, Any]]:
    """Read the accuracies that others have published.

    Raises:
        DataError: the file cannot be read, or an entry lacks something.
    """
    try:
        figures = tomllib.loads(path.read_text(encoding="utf-8"))["figures"]
        for figure in figures:
            missing = {"name", "accuracy", "year", "source", "note"} - figure.keys()
            if missing or not 0 < figure["accuracy"] < 1:
                raise ValueError(
                    f"{figure.get('name')}: {', '.join(sorted(missing)) or 'accuracy'}"
                )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path.name}: expected [[figures]] with name, accuracy (a share), year, source and "
            f"note, but found another form ({error}). Correct it there."
        ) from error
    return figures


def duration(seconds: float) -> str:
    """Say a time as one reads it: ``7.2 s``, ``48 s``, ``6.5 min``, ``13 min``, ``2.5 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.1f} min" if seconds < 597 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _marks(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The mark of every place: none where most of the records come from."""
    return {place: foot_mark(number) for number, place in enumerate(places(runs))}


def _summary(ours: Sequence[dict[str, Any]], mark: str, cases: str) -> Summary:
    accuracies = [run["accuracy"] for run in ours]
    reviews = ours[0]["reviews"]
    # Pass rates of other cases say nothing beside those of today's.
    behaviours = [run.get("behaviour") or {} for run in ours]
    behaviours = [one for one in behaviours if one.get("fingerprint") == cases]
    return Summary(
        row=ours[0]["row"],
        title=ours[0]["title"],
        is_recipe="model" in ours[0]["settings"],
        mark=mark,
        seeds=[run["seed"] for run in ours],
        accuracies=accuracies,
        accuracy=mean(accuracies),
        unseen=_unseen(ours),
        deviation=stdev(accuracies) if len(accuracies) > 1 else None,
        interval=wilson_interval(round(mean(accuracies) * reviews), reviews),
        sentences=_mean(run["sentences"]["accuracy"] for run in ours if run.get("sentences")),
        behaviour=_mean(one["pass_rate"] for one in behaviours),
        capabilities={
            name: mean(one["capabilities"][name] for one in behaviours)
            for name in (behaviours[0]["capabilities"] if behaviours else ())
        },
        calibration_error=_mean(
            run["expected_calibration_error"] for run in ours if "expected_calibration_error" in run
        ),
        coverage=_mean(run["coverage"]["share"] for run in ours if run.get("coverage")),
        training_seconds=mean(run["training_seconds"] for run in ours),
        reviews_per_second=mean(run["prediction_reviews_per_second"] for run in ours),
        size_bytes=mean(run["size_bytes"] for run in ours),
    )


def _unseen(ours: Sequence[dict[str, Any]]) -> tuple[float, int] | None:
    found = [run["unseen"] for run in ours if run.get("unseen")]
    return (mean(one["accuracy"] for one in found), found[0]["reviews"]) if found else None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return mean(found) if found else None


def _cells(summary: Summary) -> list[str]:
    low, high = summary.interval
    deviation = "" if summary.deviation is None else f" ± {100 * summary.deviation:.2f}"
    error = summary.calibration_error
    return [
        f"{summary.title}{summary.mark and ' '}{summary.mark}",
        f"{100 * summary.accuracy:.2f}{deviation} %",
        f"{100 * low:.2f}–{100 * high:.2f} %",
        str(len(summary.seeds)),
        _percent(summary.sentences),
        _percent(summary.behaviour),
        _NOTHING if error is None else f"{error:.3f}",
        _percent(summary.coverage),
        duration(summary.training_seconds),
        f"{summary.reviews_per_second:,.0f}",
        f"{summary.size_bytes / 1e6:,.1f} MB",
    ]


def _capability_cells(summary: Summary) -> list[str]:
    return [
        f"{summary.title}{summary.mark and ' '}{summary.mark}",
        *(_percent(summary.capabilities.get(name)) for name in capability_names()),
        _percent(summary.behaviour),
    ]


def _percent(share: float | None) -> str:
    return _NOTHING if share is None else f"{100 * share:.1f} %"


def _conditions(content: dict[str, Any]) -> str:
    """Say what was measured where most rows were, and what the columns hold."""
    reviews, runs = content["reviews"], content["runs"]
    main = [run for run in runs if where(run) == places(runs)[0]]
    return (
        f"Trained on {reviews['train']:,} and tested on {reviews['test']:,} reviews of "
        f"`{content['source']}`, on one machine: {_place(main)}. Accuracy is the mean over the "
        "seeds, ± its standard deviation; the interval is that of the choice of test reviews. "
        f"{_columns_explained(runs)}Training runs from raw texts to a fitted model; the reviews a "
        "second are those of prediction, from raw texts to probabilities."
    )


def _columns_explained(runs: Sequence[dict[str, Any]]) -> str:
    """Explain the columns that are filled."""
    parts = []
    sentences = [run["sentences"] for run in runs if run.get("sentences")]
    if sentences:
        parts.append(
            f"Sentences: accuracy on {sentences[-1]['reviews']:,} short ones of "
            f"`{sentences[-1]['source']}`, none of which any row was trained on. "
        )
    if any(run.get("behaviour") for run in runs):
        parts.append("Behaviour: the share of the behavioural cases passed. ")
    coverages = [run["coverage"] for run in runs if run.get("coverage")]
    if coverages:
        parts.append(
            "ECE: the mean distance of confidence from accuracy. Coverage: the largest share of "
            f"the test reviews, the surest first, of which {100 * coverages[-1]['accuracy']:.0f} % "
            "are right. "
        )
    return "".join(parts)


def _twice(summaries: Sequence[Summary], tested: int) -> list[str]:
    """Say how accurate the rows are on the test reviews that nothing else holds."""
    known = [(summary, *summary.unseen) for summary in summaries if summary.unseen]
    if not known or known[0][2] == tested:
        return []
    said = ", ".join(f"{one.title} {100 * share:.2f} %" for one, share, _ in known)
    return [
        f"Of the {tested:,} test reviews, {tested - known[0][2]:,} stand in the training or the "
        "unlabelled split as well, case and punctuation aside. The official splits are so, and are "
        f"taken as they are, as by those who published. Accuracy on the others: {said}."
    ]


def _place(runs: Sequence[dict[str, Any]]) -> str:
    """Machine, versions, seeds and commits of records of one place."""
    packages: dict[str, str] = {}
    own: dict[str, None] = {}
    for run in runs:
        packages |= run["settings"].get("package", {})
        own[run["conditions"]["versions"].get("sentiment-lstm", "unknown")] = None
    commits = dict.fromkeys(run["conditions"]["commit"] for run in runs)
    named = [f"`{commit}`" if commit else "not recorded" for commit in commits]
    extra = "".join(f", {name} {version}" for name, version in packages.items())
    seeds = sorted({run["seed"] for run in runs})
    return (
        f"{where(runs[0])}{extra}, sentiment-lstm {', '.join(own)}; "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}; "
        f"{'commit' if len(named) == 1 else 'commits'} {', '.join(named)}"
    )


def _notes(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Say of every mark where its rows were measured."""
    notes = []
    for place, mark in _marks(runs).items():
        if mark:
            theirs = [run for run in runs if where(run) == place]
            notes.append(
                f"{mark} Measured on another machine or with other versions, so that times and "
                f"speeds do not compare with those of the rows without a mark: {_place(theirs)}."
            )
    return notes


def _choices(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Say what was chosen for which baseline, where, and how long that took."""
    chosen = []
    for name in dict.fromkeys(run["row"] for run in runs if "selection" in run):
        ours = [run for run in runs if run["row"] == name]
        choices = [run["selection"] for run in ours]
        values = ", ".join(dict.fromkeys(f"{choice['value']:g}" for choice in choices))
        took = duration(mean(choice["seconds"] for choice in choices))
        chosen.append(f"{ours[0]['title']}: {choices[0]['parameter']} = {values} ({took})")
    if not chosen:
        return []
    share = next(run["selection"]["held_out"] for run in runs if "selection" in run)
    return [
        f"Chosen on {100 * share:.0f} % of the training split, in a time that is not counted: "
        f"{'; '.join(chosen)}."
    ]


def _published_section(content: dict[str, Any]) -> str:
    rows = [
        [
            figure["name"],
            f"{100 * figure['accuracy']:.1f} %",
            str(figure["year"]),
            figure["source"],
            figure["note"],
        ]
        for figure in published()
    ]
    reviews = content["reviews"]
    warning = (
        ""
        if reviews == _OFFICIAL_REVIEWS
        else f" The rows above are of {counted(reviews['test'], 'other review')}, and do not "
        "compare with them."
    )
    head = ["Classifier", "Accuracy", "Year", "Source", "Note"]
    return (
        f"## Published\n\n{markdown_table(head, rows, left=(0, 3, 4))}\n"
        "Accuracies on IMDB's official test split as their authors give them; none was measured "
        f"here.{warning}\n"
    )
