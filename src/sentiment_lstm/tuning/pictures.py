"""A search as pictures: how it went, which settings mattered, and where the good values lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentiment_lstm import figures
from sentiment_lstm.figures import ACCENT, INK, LINE, NEUTRAL, POSITIVE
from sentiment_lstm.recipes import to_toml
from sentiment_lstm.text import shorten
from sentiment_lstm.tuning.space import Choices, Range, Space
from sentiment_lstm.tuning.study import TrialRecord, rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_history", "draw_importances", "draw_slices", "save_pictures"]

_COLUMNS = 3
_SCALES = {"accuracy": (100.0, "% of the validation reviews"), "log_loss": (1.0, "nats a review")}
_NAMES = {"accuracy": "accuracy", "log_loss": "log loss"}


def save_pictures(
    folder: Path,
    records: Sequence[TrialRecord],
    space: Space,
    *,
    metric: str,
    maximize: bool,
    importances: Mapping[str, float],
) -> list[Path]:
    """Draw a search into its folder; without the importances where there are none.

    Raises:
        SaveError: a picture could not be written; what stood there before is untouched.
    """
    drawn = {
        "history": draw_history(records, metric=metric, maximize=maximize),
        "slices": draw_slices(records, space, metric=metric, maximize=maximize),
    }
    if importances:
        drawn["importances"] = draw_importances(importances, metric=metric)
    return [figures.save_figure(figure, folder / f"{name}.png") for name, figure in drawn.items()]


def draw_history(records: Sequence[TrialRecord], *, metric: str, maximize: bool) -> Figure:
    """Draw every trial's figure in the order of the trials, and the best one so far."""
    from matplotlib.ticker import MaxNLocator

    scale, unit = _SCALES[metric]
    figure = figures.new_figure(8, 3.8)
    axes = figure.subplots()
    figures.style_axes(axes, xlabel="trial", ylabel=unit)
    complete = _in_state(records, "complete")
    _scatter(axes, [(at.number, at) for at in _in_state(records, "pruned")], scale, "pruned")
    _scatter(axes, [(at.number, at) for at in complete], scale, "complete")
    if complete:
        better = np.maximum if maximize else np.minimum
        so_far = better.accumulate([scale * (at.value or 0.0) for at in complete])
        numbers = [at.number for at in complete]
        last = max(records[-1].number, numbers[-1])
        axes.step(
            [*numbers, last],
            [*so_far, so_far[-1]],
            where="post",
            color=POSITIVE,
            linewidth=1.5,
            label="best so far",
        )
        best = rank(complete, maximize=maximize)[0]
        _ring(axes, best.number, best, scale)
        figures.add_headline(
            figure, f"Trial {best.number} is the best: {_figure_text(best, metric)}"
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def draw_importances(importances: Mapping[str, float], *, metric: str) -> Figure:
    """Draw which share of the difference between the trials each setting explains."""
    names = list(importances)[::-1]
    shares = [100 * importances[name] for name in names]
    figure = figures.new_figure(7, 1.1 + 0.34 * len(names))
    axes = figure.subplots()
    figures.style_axes(axes, xlabel="% of the difference between trials")
    axes.grid(axis="y", visible=False)
    bars = axes.barh(names, shares, color=POSITIVE, height=0.6)
    axes.bar_label(bars, fmt="%.0f", padding=3, color=INK, fontsize=9)
    axes.margins(x=0.1)
    figures.add_headline(figure, f"{names[-1]} moved the {_NAMES[metric]} most")
    return figure


def draw_slices(
    records: Sequence[TrialRecord], space: Space, *, metric: str, maximize: bool
) -> Figure:
    """Draw the trials' figures over each setting: where the good values lie."""
    scale, unit = _SCALES[metric]
    columns = min(_COLUMNS, len(space))
    rows = -(-len(space) // columns)
    figure = figures.new_figure(max(3.1 * columns, 4.5), 2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    ranked = rank(records, maximize=maximize)
    for place, axes in enumerate(grid.flat):
        if place >= len(space):
            axes.set_visible(False)
            continue
        name, entry = list(space.items())[place]
        figures.style_axes(axes, xlabel=name, ylabel=unit if place % columns == 0 else "")
        for state in ("pruned", "complete"):
            tried = [at for at in _in_state(records, state) if name in at.settings]
            _scatter(axes, [(_place(entry, at, name), at) for at in tried], scale, state)
        if ranked:
            _ring(axes, _place(entry, ranked[0], name), ranked[0], scale)
        _label_values(axes, entry)
    if ranked:
        best = f"the best, trial {ranked[0].number}"
        figures.add_headline(figure, f"Every trial by its settings; ringed: {best}; hollow: pruned")
    return figure


def _in_state(records: Sequence[TrialRecord], state: str) -> list[TrialRecord]:
    return [at for at in records if at.state == state and at.value is not None]


def _scatter(
    axes: Axes, points: Sequence[tuple[float, TrialRecord]], scale: float, state: str
) -> None:
    if not points:
        return
    numbers = [number for number, _ in points]
    values = [scale * (record.value or 0.0) for _, record in points]
    if state == "pruned":
        axes.scatter(numbers, values, s=22, facecolors="none", edgecolors=LINE, label="pruned")
    else:
        axes.scatter(numbers, values, s=22, color=NEUTRAL, alpha=0.75, label="complete", zorder=3)


def _ring(axes: Axes, number: float, record: TrialRecord, scale: float) -> None:
    value = scale * (record.value or 0.0)
    axes.plot(number, value, "o", markersize=10, mfc="none", mec=ACCENT, mew=2, zorder=4)


def _place(entry: Range | Choices, record: TrialRecord, name: str) -> float:
    value = record.settings[name]
    return value if isinstance(entry, Range) else entry.choices.index(value)


def _label_values(axes: Axes, entry: Range | Choices) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    if isinstance(entry, Choices):
        labels = [shorten(to_toml(value).strip('"'), 14) for value in entry.choices]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif entry.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=_subdivisions(entry)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(which="minor", length=0)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=isinstance(entry.low, int)))


def _subdivisions(entry: Range) -> tuple[int, ...]:
    """As many labels between two powers of ten as fit side by side."""
    ratio = entry.high / entry.low
    return (1, 2, 5) if ratio < 30 else (1, 3) if ratio < 1000 else (1,)


def _figure_text(record: TrialRecord, metric: str) -> str:
    if metric == "accuracy":
        return f"it classifies {record.accuracy:.1%} of the validation reviews rightly"
    return f"a log loss of {record.log_loss:.4f} on the validation reviews"
