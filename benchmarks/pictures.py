"""Draw what the benchmarks measured: accuracy over training time and prediction speed; throughput.

`python benchmarks/pictures.py` reads benchmarks/results/*.json and writes docs/images/*.png.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console

from common import IMAGES, RESULTS, machine_line, read_json, run_script
from naming import name_points
from records import places as places_of
from records import read_records, where
from sentiment_lstm.errors import DataError
from sentiment_lstm.figures import (
    ACCENT,
    INK,
    NEUTRAL,
    PAPER,
    POSITIVE,
    add_headline,
    new_figure,
    save_figure,
    style_axes,
)
from tables import Summary, duration, summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_accuracy",
    "draw_prediction",
    "draw_training_speed",
    "pareto_frontier",
    "pictures",
]

_RECIPE = "default"  # which the headline is about
_ACCURACIES = (50, 60, 70, 75, 80, 85, 88, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99)
_OURS = ("library", "bfloat16")  # training loops
_HIGHEST = 99.95  # per cent
_HOLLOW = " Hollow: measured on another machine or with other versions."
_TIMES = {
    0.1: "0.1 s",
    1: "1 s",
    10: "10 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    36000: "10 h",
}
_RATES = {
    float(step * 10**power): f"{step * 10**power:,}" for power in range(6) for step in (1, 2, 5)
}


class _Axis(NamedTuple):
    """What accuracy is drawn over."""

    label: str
    ticks: dict[float, str]
    more_is_better: bool
    value: Callable[[Summary], float]
    said: Callable[[Summary], str]
    headline: Callable[[list[Summary]], str]


def pictures(
    results: Annotated[
        Path | None, typer.Option(help="Where the results are; benchmarks/results.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Where to draw; docs/images.")] = None,
) -> None:
    """Draw the results that are there."""
    console = Console(highlight=False)
    folder, images = results or RESULTS, images or IMAGES
    drawn = 0
    records, speeds = (folder / f"{name}.json" for name in ("accuracy", "training_speed"))
    accuracies, loops = read_records(records), read_json(speeds)
    for picture, draw, content in (
        ("accuracy", draw_accuracy, accuracies),
        ("accuracy-speed", draw_prediction, accuracies),
        ("training-speed", draw_training_speed, loops),
    ):
        if content is not None:
            path = save_figure(draw(content), images / f"{picture}.png")
            console.print(f"Drawn: {path}")
            drawn += 1
    if not drawn:
        raise DataError(
            f"{folder}: holds no results. Measure them first by benchmarks/accuracy.py and "
            "benchmarks/training_speed.py, or name another folder by --results."
        )


def draw_prediction(content: dict[str, Any]) -> Figure:
    """Draw test accuracy over prediction speed; see :func:`draw_accuracy`."""
    return draw_accuracy(content, over="prediction")


def draw_accuracy(content: dict[str, Any], over: str = "training") -> Figure:
    """Draw test accuracy over training time or prediction speed, a labelled point a classifier.

    The line runs over the classifiers that no other one beats in both (the Pareto frontier), in
    steps: between two of them, the cheaper one is what there is. Points of another machine are
    hollow and left out of it: their times do not compare.

    Args:
        content: of accuracy.json, as :func:`records.read_records` gives it.
        over: `training` or `prediction`.
    """
    from matplotlib.ticker import NullLocator

    axis = _AXES[over]
    figure = new_figure(9, 5.4)
    axes = figure.subplots()
    style_axes(axes, xlabel=axis.label, ylabel="test accuracy (%)")
    summaries = summarize(content["runs"])
    for summary in summaries:
        colour = _colour(summary)
        place, percent = axis.value(summary), _percent(summary.accuracy)
        low, high = map(_percent, summary.interval)
        axes.vlines(place, low, high, color=colour, linewidth=2, alpha=0.45)
        if len(summary.seeds) > 1:
            single = [_percent(accuracy) for accuracy in summary.accuracies]
            axes.scatter([place] * len(single), single, s=9, color=colour, linewidths=0)
        fill = PAPER if summary.mark else colour
        axes.scatter(
            [place], [percent], s=64, facecolor=fill, edgecolor=colour, linewidths=1.4, zorder=3
        )
    frontier = pareto_frontier(
        [summary for summary in summaries if not summary.mark], axis.value, more=axis.more_is_better
    )
    steps = _steps([(axis.value(summary), _percent(summary.accuracy)) for summary in frontier])
    axes.plot(*zip(*steps, strict=True), color=ACCENT, linewidth=1.6, zorder=1)
    places = [axis.value(summary) for summary in summaries]
    axes.set_xscale("log")
    axes.set_xticks(list(axis.ticks), list(axis.ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(places) / 4, max(places) * 4)
    _scale_by_mistakes(axes, [bound for summary in summaries for bound in summary.interval])
    add_headline(figure, axis.headline(summaries))
    hollow = any(summary.mark for summary in summaries)
    main = places_of(content["runs"])[0]
    conditions = next(run for run in content["runs"] if where(run) == main)["conditions"]
    _caption(
        figure,
        f"{content['reviews']['test']:,} test reviews; the recipes are those of the LSTM; bars are "
        f"95 % intervals; under the line, something is better in both.{_HOLLOW if hollow else ''} "
        f"{machine_line(conditions['machine'], conditions['threads'])}",
    )
    name_points(
        figure,
        axes,
        [(axis.value(summary), _percent(summary.accuracy)) for summary in summaries],
        [_label(summary, axis) for summary in summaries],
        [_colour(summary) for summary in summaries],
        line=steps,
    )
    return figure


def pareto_frontier(
    summaries: list[Summary], value: Callable[[Summary], float], *, more: bool
) -> list[Summary]:
    """Give the classifiers that no other one beats in accuracy and cost, the cheapest first.

    Args:
        summaries: of which to choose.
        value: what each costs, or gives.
        more: whether more of that is better.
    """
    best: list[Summary] = []
    cost = (lambda summary: -value(summary)) if more else value
    for summary in sorted(summaries, key=lambda one: (cost(one), -one.accuracy)):
        if not best or summary.accuracy > best[-1].accuracy:
            best.append(summary)
    return best


def draw_training_speed(content: dict[str, Any]) -> Figure:
    """Draw the reviews a second of each training loop, beside what the machine could do.

    Args:
        content: of training_speed.json.
    """
    loops = sorted(content["loops"].items(), key=lambda item: item[1]["reviews_per_second"])
    library = content["loops"]["library"]
    limit = library["reviews_per_second"] / library["share_of_limit"]
    figure = new_figure(8, 2.7)
    axes = figure.subplots()
    style_axes(axes, xlabel="reviews a second: forward, backward, optimizer step")
    axes.grid(visible=False, axis="y")
    for place, (name, loop) in enumerate(loops):
        rate = loop["reviews_per_second"]
        axes.barh(place, rate, height=0.62, color=POSITIVE if name in _OURS else NEUTRAL)
        inside = rate > limit / 2
        its_own = " in bfloat16" if name == "bfloat16" else ""
        axes.annotate(
            f"{rate:,.0f} reviews/s, {100 * loop['share_of_limit']:.0f} % of the limit{its_own}",
            (rate, place),
            xytext=(-6 if inside else 6, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            color=PAPER if inside else INK,
            fontsize=9.5,
        )
    labels = [f"{loop['title']}\n{100 * loop['padding_share']:.0f} % padding" for _, loop in loops]
    axes.set_yticks(range(len(loops)), labels)
    axes.tick_params(axis="y", length=0)
    axes.axvline(limit, color=ACCENT, linewidth=1.6, linestyle="--")
    axes.annotate(
        "limit: float32 matrix\nmultiplication",
        (limit, 0),
        xytext=(-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=INK,
        fontsize=9,
    )
    axes.set_xlim(0, 1.04 * max(limit, loops[-1][1]["reviews_per_second"]))
    add_headline(figure, _speed_headline(content["loops"]))
    _caption(
        figure,
        f"{content['reviews']:,} whole reviews. "
        f"{machine_line(content['machine'], content['threads'])}",
    )
    return figure


def _training_headline(summaries: list[Summary]) -> str:
    """Say what the recipes reach, or who is best where none of them was measured."""
    by_row = _by_row(summaries)
    ours = by_row.get(_RECIPE)
    if ours is None:
        best = _best_here(summaries)
        return f"{best.title} reaches {100 * best.accuracy:.1f} %"
    headline = (
        f"The recipe {_RECIPE} reaches {100 * ours.accuracy:.1f} % after "
        f"{duration(ours.training_seconds)} of training"
    )
    classic = by_row.get("classic")
    return headline + (f"; classic, {100 * classic.accuracy:.1f} %" if classic else "")


def _prediction_headline(summaries: list[Summary]) -> str:
    """Say how often the recipe is right and how fast, or the best where it was not measured."""
    ours = _by_row(summaries).get(_RECIPE) or _best_here(summaries)
    return (
        f"{ours.title} is right about {100 * ours.accuracy:.1f} % of the reviews, "
        f"{ours.reviews_per_second:,.0f} of them a second"
    )


def _by_row(summaries: list[Summary]) -> dict[str, Summary]:
    """Find each row, as it was measured here if it was, else elsewhere."""
    return {summary.row: summary for summary in sorted(summaries, key=lambda one: not one.mark)}


def _best_here(summaries: list[Summary]) -> Summary:
    return next(summary for summary in summaries if not summary.mark)


def _speed_headline(loops: dict[str, dict[str, Any]]) -> str:
    fastest = max(loop["reviews_per_second"] for name, loop in loops.items() if name not in _OURS)
    times = {name: loops[name]["reviews_per_second"] / fastest for name in _OURS if name in loops}
    headline = (
        f"The library trains {times['library']:.1f} times as fast as the faster plain PyTorch loop"
    )
    return headline + (f", {times['bfloat16']:.1f} in bfloat16" if "bfloat16" in times else "")


def _scale_by_mistakes(axes: Axes, bounds: list[float]) -> None:
    """Draw accuracy by the logarithm of the mistakes left, in which 90 to 95 % is halving them."""
    from matplotlib.ticker import NullLocator

    def forward(percent: Any) -> Any:  # noqa: ANN401 - an array of matplotlib's, or a number
        return -np.log10(np.maximum(100 - np.asarray(percent, dtype=float), 1e-9))

    def inverse(place: Any) -> Any:  # noqa: ANN401
        return 100 - 10 ** -np.asarray(place, dtype=float)

    low, high = (float(forward(_percent(bound))) for bound in (min(bounds), max(bounds)))
    margin = 0.18 * (high - low)
    bottom, top = float(inverse(low - margin)), float(inverse(high + margin))
    axes.set_yscale("function", functions=(forward, inverse))
    ticks = [percent for percent in _ACCURACIES if bottom <= percent <= top]
    axes.set_yticks(ticks, [f"{percent:g}" for percent in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom, top)


def _percent(share: float) -> float:
    """Where an accuracy is drawn; one without a mistake would lie at infinity."""
    return min(100 * share, _HIGHEST)


def _steps(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join points by lines that run across first, then up."""
    corners = [(right[0], left[1]) for left, right in itertools.pairwise(points)]
    return [points[0], *itertools.chain(*zip(corners, points[1:], strict=True))]


def _label(summary: Summary, axis: _Axis) -> str:
    # Short: points lie close together, and the table has the whole titles.
    name = summary.title.removeprefix("LSTM, ").partition(" + ")[0]
    return (
        f"{name}{summary.mark and ' '}{summary.mark}\n"
        f"{100 * summary.accuracy:.1f} %, {axis.said(summary)}"
    )


def _caption(figure: Figure, text: str) -> None:
    lines = textwrap.wrap(text, width=int(figure.get_size_inches()[0] * 15))
    figure.supxlabel("\n".join(lines), x=0.02, ha="left", fontsize=7.5, color=NEUTRAL)


def _colour(summary: Summary) -> str:
    return POSITIVE if summary.is_recipe else NEUTRAL


_AXES = {
    "training": _Axis(
        label="training time (logarithmic)",
        ticks=_TIMES,
        more_is_better=False,
        value=lambda summary: summary.training_seconds,
        said=lambda summary: duration(summary.training_seconds),
        headline=_training_headline,
    ),
    "prediction": _Axis(
        label="reviews classified a second (logarithmic)",
        ticks=_RATES,
        more_is_better=True,
        value=lambda summary: summary.reviews_per_second,
        said=lambda summary: f"{summary.reviews_per_second:,.0f} a second",
        headline=_prediction_headline,
    ),
}


if __name__ == "__main__":
    run_script(pictures)
