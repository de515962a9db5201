"""What `accuracy.py` measured, as a table for the terminal and for the README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from rich.table import Table

from common import machine_line, markdown_table, text_table
from sentiment_lstm.metrics import wilson_interval

__all__ = ["Summary", "duration", "markdown", "rich_table", "summarize"]

_HEAD = ["Classifier", "Accuracy", "95 % interval", "Training", "Reviews/s", "On disk"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One line of the table, over all seeds of a row."""

    row: str
    title: str
    seeds: list[int]
    accuracies: list[float]
    accuracy: float  # mean over the seeds
    interval: tuple[float, float]  # 95 %, of the choice of test reviews
    training_seconds: float  # means, as below
    reviews_per_second: float
    size_bytes: float


def summarize(runs: Sequence[dict[str, Any]]) -> list[Summary]:
    """Join the seeds of each row, the most accurate row first."""
    summaries = []
    for name in dict.fromkeys(run["row"] for run in runs):
        ours = [run for run in runs if run["row"] == name]
        accuracies = [run["accuracy"] for run in ours]
        reviews = ours[0]["reviews"]
        summaries.append(
            Summary(
                row=name,
                title=ours[0]["title"],
                seeds=[run["seed"] for run in ours],
                accuracies=accuracies,
                accuracy=mean(accuracies),
                interval=wilson_interval(round(mean(accuracies) * reviews), reviews),
                training_seconds=mean(run["training_seconds"] for run in ours),
                reviews_per_second=mean(run["prediction_reviews_per_second"] for run in ours),
                size_bytes=mean(run["size_bytes"] for run in ours),
            )
        )
    return sorted(summaries, key=lambda summary: -summary.accuracy)


def markdown(content: dict[str, Any]) -> str:
    """Lay the results out for the README: the table, and under it how it was measured."""
    rows = [_cells(summary) for summary in summarize(content["runs"])]
    lines = [_conditions(content), *_choices(content["runs"])]
    return f"{markdown_table(_HEAD, rows)}\n{' '.join(lines)}\n"


def rich_table(content: dict[str, Any]) -> Table:
    """Lay the results out for the terminal."""
    rows = [_cells(summary) for summary in summarize(content["runs"])]
    title = f"{content['reviews']['test']:,} test reviews"
    return text_table(_HEAD, rows, title=title)


def duration(seconds: float) -> str:
    """Say a time as one reads it: ``7.2 s``, ``48 s``, ``6.5 min``, ``13 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 597 else f"{seconds / 60:.0f} min"


def _cells(summary: Summary) -> list[str]:
    low, high = summary.interval
    accuracy = f"{100 * summary.accuracy:.2f} %"
    if len(summary.seeds) > 1:
        worst, best = min(summary.accuracies), max(summary.accuracies)
        accuracy += f" ({len(summary.seeds)} seeds, {100 * worst:.2f}–{100 * best:.2f})"
    return [
        summary.title,
        accuracy,
        f"{100 * low:.2f}–{100 * high:.2f} %",
        duration(summary.training_seconds),
        f"{summary.reviews_per_second:,.0f}",
        f"{summary.size_bytes / 1e6:,.1f} MB",
    ]


def _conditions(content: dict[str, Any]) -> str:
    reviews, machine = content["reviews"], machine_line(content["machine"], content["threads"])
    packages = dict(content["versions"])
    for run in content["runs"]:
        packages |= run["settings"].get("package", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    seeds = sorted({run["seed"] for run in content["runs"]})
    return (
        f"Trained on {reviews['train']:,} and tested on {reviews['test']:,} reviews of "
        f"`{content['source']}`, on one machine: {machine}; {versions}; "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}. Training runs "
        "from raw texts to a fitted model; the reviews a second are those of prediction, from raw "
        "texts to labels."
    )


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
