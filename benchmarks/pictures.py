"""Draw what the benchmarks measured: accuracy over training time, and training speed.

`python benchmarks/pictures.py` reads benchmarks/results/*.json and writes docs/images/*.png.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import textalloc
import typer
from rich.console import Console

from common import IMAGES, RESULTS, machine_line, read_json, run_script
from sentiment_lstm.errors import DataError
from sentiment_lstm.figures import (
    ACCENT,
    INK,
    LINE,
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

__all__ = ["draw_accuracy", "draw_training_speed", "pictures"]

_RECIPE = "default"  # which the headline is about
_TIMES = {
    0.1: "0.1 s",
    1: "1 s",
    10: "10 s",
    60: "1 min",
    600: "10 min",
    3600: "1 h",
    36000: "10 h",
}


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
    for name, draw in (("accuracy", draw_accuracy), ("training_speed", draw_training_speed)):
        content = read_json(folder / f"{name}.json")
        if content is not None:
            path = save_figure(draw(content), images / f"{name.replace('_', '-')}.png")
            console.print(f"Drawn: {path}")
            drawn += 1
    if not drawn:
        raise DataError(
            f"{folder}: holds no results. Measure them first by benchmarks/accuracy.py and "
            "benchmarks/training_speed.py, or name another folder by --results."
        )


def draw_accuracy(content: dict[str, Any]) -> Figure:
    """Draw test accuracy over training time, a labelled point for each classifier.

    Args:
        content: of accuracy.json.
    """
    from matplotlib.ticker import NullLocator

    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    style_axes(axes, xlabel="training time (logarithmic)", ylabel="test accuracy (%)")
    summaries = summarize(content["runs"])
    for summary in summaries:
        colour = _colour(summary)
        seconds, percent = summary.training_seconds, 100 * summary.accuracy
        low, high = (100 * bound for bound in summary.interval)
        axes.vlines(seconds, low, high, color=colour, linewidth=2, alpha=0.45)
        if len(summary.seeds) > 1:
            single = [100 * accuracy for accuracy in summary.accuracies]
            axes.scatter([seconds] * len(single), single, s=9, color=colour, linewidths=0)
        axes.scatter([seconds], [percent], s=64, color=colour, linewidths=0, zorder=3)
    times = [summary.training_seconds for summary in summaries]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 2.5, max(times) * 3)
    axes.set_xticks(list(_TIMES), list(_TIMES.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(times) / 2.5, max(times) * 3)
    axes.margins(y=0.18)
    add_headline(figure, _accuracy_headline(summaries))
    _caption(
        figure,
        f"{content['reviews']['test']:,} test reviews, bars are 95 % intervals. "
        f"{machine_line(content['machine'], content['threads'])}",
    )
    _label_points(figure, axes, summaries)
    return figure


def draw_training_speed(content: dict[str, Any]) -> Figure:
    """Draw the reviews a second of each training loop, beside what the machine could do.

    Args:
        content: of training_speed.json.
    """
    loops = sorted(content["loops"].items(), key=lambda item: item[1]["reviews_per_second"])
    limit = loops[0][1]["reviews_per_second"] / loops[0][1]["share_of_limit"]
    figure = new_figure(8, 2.7)
    axes = figure.subplots()
    style_axes(axes, xlabel="reviews a second: forward, backward, optimizer step")
    axes.grid(visible=False, axis="y")
    for place, (name, loop) in enumerate(loops):
        rate = loop["reviews_per_second"]
        axes.barh(place, rate, height=0.62, color=POSITIVE if name == "library" else NEUTRAL)
        inside = rate > limit / 2
        axes.annotate(
            f"{rate:,.0f} reviews/s, {100 * loop['share_of_limit']:.0f} % of the limit",
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
        "limit: matrix\nmultiplication",
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


def _accuracy_headline(summaries: list[Summary]) -> str:
    """Say what the recipes reach, or who is best where none of them was measured."""
    by_row = {summary.row: summary for summary in summaries}
    ours = by_row.get(_RECIPE)
    if ours is None:
        best = summaries[0]
        return f"{best.title} reaches {100 * best.accuracy:.1f} %"
    headline = (
        f"The recipe {_RECIPE} reaches {100 * ours.accuracy:.1f} % after "
        f"{duration(ours.training_seconds)} of training"
    )
    classic = by_row.get("classic")
    return headline + (f"; classic, {100 * classic.accuracy:.1f} %" if classic else "")


def _speed_headline(loops: dict[str, dict[str, Any]]) -> str:
    fastest = max(loop["reviews_per_second"] for name, loop in loops.items() if name != "library")
    times = loops["library"]["reviews_per_second"] / fastest
    return f"The library trains {times:.1f} times as fast as the faster of two plain PyTorch loops"


def _label_points(figure: Figure, axes: Axes, summaries: list[Summary]) -> None:
    """Name every point beside it, no name on another or on a point."""
    seconds = [summary.training_seconds for summary in summaries]
    percent = [100 * summary.accuracy for summary in summaries]
    # Once the layout is settled: what is placed in pixels must not move any more.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    textalloc.allocate(
        axes,
        seconds,
        percent,
        [_label(summary) for summary in summaries],
        x_scatter=seconds,
        y_scatter=percent,
        textsize=9,
        textcolor=INK,
        linecolor=LINE,
        linewidth=0.6,
        max_distance=0.4,
        min_distance=0.03,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
    )


def _label(summary: Summary) -> str:
    return f"{summary.title}\n{100 * summary.accuracy:.1f} %, {duration(summary.training_seconds)}"


def _caption(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.02, ha="left", fontsize=7.5, color=NEUTRAL)


def _colour(summary: Summary) -> str:
    return POSITIVE if summary.row == _RECIPE else NEUTRAL


if __name__ == "__main__":
    run_script(pictures)
