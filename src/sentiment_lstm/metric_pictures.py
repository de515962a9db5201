"""An evaluation as pictures: confusion matrix, ROC curves, and what its confidence is good for.

Right is blue and wrong is amber in all of them, which readers with any colour vision tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm import figures
from sentiment_lstm.figures import ACCENT, INK, LINE, NEUTRAL, PAPER, POSITIVE
from sentiment_lstm.metrics import Evaluation
from sentiment_lstm.text import shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

__all__ = ["MetricPicture", "metric_pictures"]

_RIGHT, _WRONG = POSITIVE, ACCENT
# So faint that dark text can be read on the cells of a light page, and light text in a dark one.
_FAINTEST, _STRONGEST = 0.06, 0.7
_LETTER_IN = 0.08  # inches, of a tick label's
_DASHED = (0, (4, 3))
_MAX_CLASSES_WITH_SHARES = 6
_MAX_CLASSES_WITH_COUNTS = 16
_MAX_NAMED_CURVES = 8
_ENOUGH_REVIEWS = 10


@dataclass(frozen=True, kw_only=True)
class MetricPicture:
    """A figure, what it shows and what it says."""

    name: str  # of its file, without the ending
    title: str
    headline: str  # what the reader should see in it
    explanation: str  # how to read it
    description: str  # in place of the picture, for a screen reader
    figure: Figure


def metric_pictures(evaluation: Evaluation) -> list[MetricPicture]:
    """Draw all pictures of an evaluation; without ROC curves if the reviews are of one class."""
    pictures = [_confusion(evaluation)]
    if evaluation.roc:
        pictures.append(_roc(evaluation))
    return [*pictures, _reliability(evaluation), _coverage(evaluation)]


def _confusion(evaluation: Evaluation) -> MetricPicture:
    names, counts = evaluation.labels, np.array(evaluation.confusion)  # (C, C)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.5 * len(names) + 2.0, 3.3, 9.5))
    figure = figures.new_figure(side + 0.7, side)
    axes = figure.subplots()
    figures.style_axes(axes, xlabel="predicted label", ylabel="true label")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _draw_cells(axes, counts, shares)
    short = [shorten(name, 18) for name in names]
    axes.set_xticks(range(len(names)), short)
    axes.set_yticks(range(len(names)), short)
    _take_literally(axes.get_xticklabels() + axes.get_yticklabels())
    if max(map(len, short)) * _LETTER_IN > (side - 1.2) / len(names):
        for label in axes.get_xticklabels():
            label.set(rotation=40, ha="right", rotation_mode="anchor")
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
    return MetricPicture(
        name="confusion-matrix",
        title="Confusion matrix",
        headline=_confusion_headline(short, shares),
        explanation="Each row holds the reviews of one true label and adds up to 100%. Blue is "
        "classified rightly, amber wrongly.",
        description="Confusion matrix. "
        + " ".join(
            f"Of {row.sum():,} {name} reviews, {row[place]:,} are classified rightly."
            for place, (name, row) in enumerate(zip(names, counts, strict=True))
        ),
        figure=figure,
    )


def _draw_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    from matplotlib.patches import Rectangle

    number = len(counts)
    size = float(np.clip(13 - 0.5 * number, 5, 12))
    for row, column in np.ndindex(counts.shape):
        count, share, right = int(counts[row, column]), float(shares[row, column]), row == column
        # Errors are rare where a model is any good; the root lets them be told apart.
        strength = share if right else share**0.5
        cell = Rectangle((column - 0.49, row - 0.49), 0.98, 0.98, linewidth=0)
        cell.set_facecolor(_RIGHT if right else _WRONG)
        cell.set_alpha(_FAINTEST + (_STRONGEST - _FAINTEST) * strength)
        axes.add_patch(cell)
        style: dict[str, Any] = {"color": INK, "ha": "center", "va": "center"}
        if number <= _MAX_CLASSES_WITH_SHARES:
            axes.text(column, row - 0.1, f"{count:,}", fontsize=size, fontweight="bold", **style)
            axes.text(column, row + 0.18, f"{share:.1%}", fontsize=0.8 * size, **style)
        elif count and number <= _MAX_CLASSES_WITH_COUNTS:
            axes.text(column, row, f"{count:,}", fontsize=size, **style)


def _confusion_headline(names: list[str], shares: NDArray[np.float64]) -> str:
    wrong = shares * (1 - np.eye(len(names)))
    if not wrong.any():
        return "No review is mistaken"
    if len(names) == 2 and shares.any(axis=1).all():
        return (
            f"It mistakes {wrong[0, 1]:.1%} of the {names[0]} reviews and {wrong[1, 0]:.1%} of the "
            f"{names[1]} ones"
        )
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    share = wrong[row, column]
    return f"Most often mistaken: {share:.1%} of the {names[row]} reviews, for {names[column]}"


def _roc(evaluation: Evaluation) -> MetricPicture:
    figure = figures.new_figure(4.0, 3.8)
    axes = figure.subplots()
    figures.style_axes(
        axes,
        xlabel="false positives, % of the other reviews",
        ylabel="true positives, % of the label's reviews",
    )
    axes.plot([0, 100], [0, 100], color=NEUTRAL, linestyle=_DASHED, linewidth=1)
    # The worst first: where there are too many to name, these are the ones to look at.
    curves = sorted(evaluation.roc, key=lambda curve: curve.area)
    colours = dict(zip(evaluation.labels, figures.class_colours(evaluation.labels), strict=True))
    entries: list[tuple[Line2D, str]] = []
    for place, curve in enumerate(curves):
        named = place < _MAX_NAMED_CURVES
        (line,) = axes.plot(
            100 * np.array(curve.false_positive_rate),
            100 * np.array(curve.true_positive_rate),
            color=colours[curve.label] if named else LINE,
            linewidth=2 if named else 1,
            zorder=2.5 - place / 1000,
        )
        if named:
            entries.append((line, f"{shorten(curve.label, 18)}: area {curve.area:.3f}"))
        elif place == len(curves) - 1:
            entries.append((line, f"{place + 1 - _MAX_NAMED_CURVES} more, of larger area"))
    if len(evaluation.labels) == 2:
        entries.append((_draw_operating_point(axes, evaluation), "as classified, at 50%"))
    legend = axes.legend(
        [line for line, _ in entries],
        [""] * len(entries),
        loc="lower right",
        facecolor=PAPER,
        edgecolor="none",
    )
    # Set afterwards: a legend would leave out a label that begins with an underscore.
    for entry, (_, text) in zip(legend.get_texts(), entries, strict=True):
        entry.set(text=text, color=INK, fontsize=9)
    _take_literally(legend.get_texts())
    axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
    areas = " ".join(f"{curve.label}: area under the curve {curve.area:.3f}." for curve in curves)
    return MetricPicture(
        name="roc",
        title="ROC curve" if len(curves) == 1 else "ROC curves, each label against the others",
        headline=_roc_headline(evaluation),
        explanation="Each point of a curve is a threshold on the probability. Through the upper "
        "left corner, it would separate the labels wholly; the dashed diagonal is guessing.",
        description=f"ROC curves. {areas}",
        figure=figure,
    )


def _draw_operating_point(axes: Axes, evaluation: Evaluation) -> Line2D:
    counts = np.array(evaluation.confusion)
    x, y = 100 * counts[:, 1] / counts.sum(axis=1)
    axes.plot([0, x, x], [y, y, 0], color=LINE, linewidth=0.8, zorder=1)
    (point,) = axes.plot([x], [y], "o", color=ACCENT, markersize=7, zorder=4)
    return point


def _roc_headline(evaluation: Evaluation) -> str:
    curves = sorted(evaluation.roc, key=lambda curve: curve.area)
    if len(evaluation.labels) == 2:
        other, label = (shorten(name, 18) for name in evaluation.labels)
        return (
            f"In {curves[0].area:.1%} of all pairs, the {label} review is ranked above the "
            f"{other} one"
        )
    worst, best = (f"{shorten(c.label, 18)} ({c.area:.3f})" for c in (curves[0], curves[-1]))
    return f"Hardest to tell from the others is {worst}, easiest {best}"


def _reliability(evaluation: Evaluation) -> MetricPicture:
    figure = figures.new_figure(4.0, 4.3)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_reliability(upper, evaluation)
    _draw_confidences(lower, evaluation)
    bins = evaluation.reliability
    points = " ".join(
        f"At a confidence of {part.confidence:.0%}, {part.accuracy:.0%} of {part.reviews:,} "
        "reviews are classified rightly."
        for part in bins
    )
    return MetricPicture(
        name="reliability",
        title="Reliability of the confidence",
        headline=_reliability_headline(evaluation),
        explanation="Reviews are sorted into bins by the confidence they were given. On the "
        "dashed line, a confidence of 80% is right in 80% of the cases. The whiskers are 95% "
        f"intervals, grey where a bin holds fewer than {_ENOUGH_REVIEWS} reviews; the histogram "
        "shows how full the bins are.",
        description=f"Reliability curve. {points}",
        figure=figure,
    )


def _draw_reliability(axes: Axes, evaluation: Evaluation) -> None:
    bins = evaluation.reliability
    figures.style_axes(axes, ylabel="accuracy, %")
    confidence = 100 * np.array([part.confidence for part in bins])
    accuracy = 100 * np.array([part.accuracy for part in bins])
    intervals = 100 * np.array([part.accuracy_interval for part in bins])  # (bins, 2)
    left = 100 * bins[0].low
    bottom = max(-3.0, min(left, float(accuracy.min())) - 4)
    axes.plot([0, 100], [0, 100], color=NEUTRAL, linestyle=_DASHED, linewidth=1)
    errors = np.abs(intervals - accuracy[:, None]).T  # (2, bins)
    enough = np.array([part.reviews >= _ENOUGH_REVIEWS for part in bins])
    for chosen, colour, line in ((enough, POSITIVE, "-"), (~enough, LINE, "none")):
        axes.errorbar(
            confidence[chosen],
            accuracy[chosen],
            yerr=errors[:, chosen],
            color=colour,
            marker="o",
            markersize=5,
            linestyle=line,
            linewidth=2,
            elinewidth=1.2,
            capsize=2.5,
        )
    note: dict[str, Any] = {
        "color": NEUTRAL,
        "fontsize": 9,
        "fontstyle": "italic",
        "transform": axes.transAxes,
    }
    axes.text(0.03, 0.95, "right more often than it says", va="top", **note)
    axes.text(0.97, 0.05, "wrong more often than it says", ha="right", **note)
    axes.set(xlim=(left - 1, 101), ylim=(bottom, 103))


def _draw_confidences(axes: Axes, evaluation: Evaluation) -> None:
    bins, total = evaluation.reliability, evaluation.reviews
    figures.style_axes(axes, xlabel="confidence, %", ylabel="reviews, %")
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.08)
    places = [100 * part.low for part in bins]
    widths = [100 * (part.high - part.low) * 0.94 for part in bins]
    right = [100 * part.accuracy * part.reviews / total for part in bins]
    wrong = [100 * (1 - part.accuracy) * part.reviews / total for part in bins]
    axes.bar(places, wrong, widths, align="edge", color=_WRONG, label="wrong")
    axes.bar(places, right, widths, align="edge", bottom=wrong, color=_RIGHT, label="right")
    axes.legend(
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=2,
        reverse=True,
        borderpad=0,
        borderaxespad=0.2,
    )


def _reliability_headline(evaluation: Evaluation) -> str:
    said = sum(part.confidence * part.reviews for part in evaluation.reliability)
    said, accuracy = said / evaluation.reviews, evaluation.accuracy
    low, high = evaluation.accuracy_interval
    verdict = f"Its confidence fits its accuracy, as far as {evaluation.reviews:,} reviews tell"
    if said > high:
        verdict = "It is too sure of itself"
    elif said < low:
        verdict = "It is less sure than it could be"
    return f"{verdict}: {said:.1%} confident on average, {accuracy:.1%} right"


def _coverage(evaluation: Evaluation) -> MetricPicture:
    figure = figures.new_figure(4.8, 3.6)
    axes = figure.subplots()
    _draw_coverage(axes, evaluation)
    reached = [found for found in evaluation.coverage_at_accuracy if found.coverage is not None]
    points = " ".join(
        f"{found.target:.0%} accuracy at {found.coverage:.0%} coverage." for found in reached
    )
    return MetricPicture(
        name="accuracy-coverage",
        title="Accuracy against coverage",
        headline=_coverage_headline(evaluation),
        explanation="From left to right, it answers more and more reviews, the surest first. The "
        "blue line is the share of its answers that is right, the amber above it the share that is "
        "wrong; the dashed line is the accuracy if confidence were no help. Left out is where "
        f"fewer than {_ENOUGH_REVIEWS} reviews are answered.",
        description=f"Accuracy-coverage curve. {points or 'No target accuracy is reached.'} "
        f"{evaluation.accuracy:.0%} accuracy at 100% coverage.",
        figure=figure,
    )


def _draw_coverage(axes: Axes, evaluation: Evaluation) -> None:
    curve = evaluation.risk_coverage
    coverage = 100 * np.array(curve.coverage)
    accuracy = 100 - 100 * np.array(curve.risk)
    # Of a handful of answers, one that is wrong would throw the curve across the whole picture.
    enough = coverage * evaluation.reviews >= 100 * min(_ENOUGH_REVIEWS, evaluation.reviews) - 1e-6
    coverage, accuracy = coverage[enough], accuracy[enough]
    figures.style_axes(axes, xlabel="answered, % of the reviews", ylabel="right, % of the answered")
    axes.fill_between(coverage, accuracy, 100, color=_WRONG, alpha=0.35, linewidth=0)
    axes.axhline(100 * evaluation.accuracy, color=NEUTRAL, linestyle=_DASHED, linewidth=1)
    axes.plot(
        coverage, accuracy, color=_RIGHT, linewidth=2, marker="o" if len(coverage) == 1 else ""
    )
    reached = [found for found in evaluation.coverage_at_accuracy if found.coverage is not None]
    lowest = float(accuracy.min())
    span = max(100 - lowest, 2.0)
    # Room below the curve for as many lines as the legend has.
    axes.set(xlim=(-1, 101), ylim=(lowest - span * (0.08 + 0.12 * len(reached)), 100 + span * 0.04))
    for found, face in zip(reached, (INK, LINE, PAPER), strict=False):
        axes.plot(
            [100 * (found.coverage or 0)],
            [100 * (found.accuracy or 0)],
            "o",
            markersize=7,
            markerfacecolor=face,
            markeredgecolor=INK,
            clip_on=False,
            zorder=4,
            label=f"{found.target:.0%} right: {found.coverage:.0%} answered, from "
            f"{found.threshold:.3f}",
        )
    if reached:
        axes.legend(
            fontsize=9,
            labelcolor=INK,
            loc="lower left",
            borderaxespad=0.2,
            facecolor=PAPER,
            edgecolor="none",
        )


def _coverage_headline(evaluation: Evaluation) -> str:
    for found in evaluation.coverage_at_accuracy:
        if found.coverage == 1:
            return f"It can answer every review and still be {found.target:.0%} right"
        if found.coverage is not None:
            return (
                f"Where its confidence reaches {found.threshold:.3f}, it is {found.target:.0%} "
                f"right: on {found.coverage:.0%} of the reviews"
            )
    lowest = min(found.target for found in evaluation.coverage_at_accuracy)
    return f"However sure it is, it is never {lowest:.0%} right"


def _take_literally(texts: Sequence[Text]) -> None:
    """Keep matplotlib from reading a label's dollar signs as mathematics."""
    for text in texts:
        text.set_parse_math(False)
