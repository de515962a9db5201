"""The data report as one picture: sizes and balance, flaws, lengths and what a maximum cuts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentiment_lstm.data.checks import DataReport
from sentiment_lstm.data.rows import TEST, TRAIN, UNSUPERVISED, VALIDATION
from sentiment_lstm.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_report"]

_NEGATIVE, _POSITIVE, _NEUTRAL, _ACCENT = "#C8553D", "#2A7F9E", "#6B7280", "#E0A030"
_LIGHT, _DARK = "#D1D5DB", "#1F2937"
_SPLIT_COLOURS = {TRAIN: _NEUTRAL, VALIDATION: _DARK, TEST: _ACCENT, UNSUPERVISED: _LIGHT}
_MAX_CLASSES = 10


def plot_report(report: DataReport, path: str | Path) -> None:
    """Draw a data report as PNG.

    Args:
        report: from :func:`check_reviews`.
        path: the picture; its folder is made where it is missing.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    # Imported here, so that training, which needs the data only, does not load it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12)
    figure = Figure(figsize=(11, 7.5), dpi=150, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.35), width_ratios=(1.1, 1))
    _draw_sizes(figure.add_subplot(grid[0, 0]), report)
    _draw_flaws(figure.add_subplot(grid[0, 1]), report)
    _draw_lengths(figure.add_subplot(grid[1, :]), report)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_file(path, picture.getvalue())


def _draw_sizes(axes: Axes, report: DataReport) -> None:
    colours = _class_colours(report)
    largest = max(split.number for split in report.splits.values())
    for row, split in enumerate(report.splits.values()):
        left = 0
        for name, number in _shown_classes(report, split.balance).items():
            axes.barh(row, number, left=left, color=colours[name], label=name, height=0.62)
            share = number / max(split.number, 1)
            if number > 0.09 * largest:
                axes.text(
                    left + number / 2, row, f"{share:.0%}", color="white", ha="center", va="center"
                )
            left += number
        if not split.balance:
            axes.barh(row, split.number, color=_LIGHT, height=0.62)
            if split.number > 0.25 * largest:
                middle = split.number / 2
                axes.text(middle, row, "unlabelled", color=_DARK, ha="center", va="center")
        end = split.number + 0.015 * largest
        axes.text(end, row, f"{split.number:,}", va="center", color=_DARK)
    axes.set_yticks(range(len(report.splits)), list(report.splits))
    axes.invert_yaxis()
    axes.set_xlim(0, 1.17 * largest)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("reviews")
    axes.set_title(_balance_title(report), loc="left", fontweight="bold")
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    axes.legend(
        list(unique.values()),
        list(unique),
        ncols=min(len(unique), 4),
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, -0.2),
        fontsize=9,
    )


def _draw_flaws(axes: Axes, report: DataReport) -> None:
    flaws: list[tuple[str, int, int, str]] = []
    for name, split in report.splits.items():
        colour = _SPLIT_COLOURS.get(name, _NEUTRAL)
        flaws.append((f"duplicates in {name}", split.duplicates, split.number, colour))
    for name, number in report.leaks.items():
        size, colour = report.splits[name].number, _NEGATIVE
        flaws.append((f"in {name} and in train", number, size, colour))
        flaws.append(("… or nearly the same", report.near_leaks[name], size, colour))
    labelled = sum(split.number for split in report.splits.values() if split.balance)
    empty = sum(split.empty for split in report.splits.values())
    everything = sum(split.number for split in report.splits.values())
    flaws.append(("texts with two labels", report.conflicts, labelled, _NEGATIVE))
    flaws.append(("empty texts", empty, everything, _NEGATIVE))
    percent = [100 * number / max(of, 1) for _, number, of, _ in flaws]
    end = max(*percent, 0.05)
    for row, (_, number, _, colour) in enumerate(flaws):
        axes.barh(row, percent[row], color=colour, height=0.62)
        label = f"{number:,} ({percent[row]:.2f}%)" if number else "none"
        axes.text(
            percent[row] + 0.015 * end, row, label, va="center", color=_DARK if number else _NEUTRAL
        )
    axes.set_yticks(range(len(flaws)), [name for name, *_ in flaws])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.38 * end)
    axes.set_xlabel("% of the reviews of the split")
    axes.set_title(_flaw_title(report), loc="left", fontweight="bold")


def _draw_lengths(axes: Axes, report: DataReport) -> None:
    edges = np.array(report.length_edges)
    top = 0.0
    # The unlabelled split first, so that it lies behind.
    for name in sorted(report.splits, key=lambda name: name != UNSUPERVISED):
        split = report.splits[name]
        percent = 100 * np.array(split.histogram) / max(split.measured, 1)
        top = max(top, float(percent.max()))
        colour = _SPLIT_COLOURS.get(name, _NEUTRAL)
        label = f"{name}: median {split.length_percentiles['50']:,} tokens"
        if name == TRAIN:
            axes.stairs(percent, edges, color=colour, alpha=0.35, fill=True, label=label)
        else:
            axes.stairs(percent, edges, color=colour, linewidth=1.8, label=label)
    _draw_maxima(axes, report, top)
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, 1.24 * top)
    axes.set_xlabel("length in tokens, special ones included (the last bin holds all longer texts)")
    axes.set_ylabel("% of the texts")
    median = report.splits[TRAIN].length_percentiles["50"]
    longest = report.splits[TRAIN].length_percentiles["max"]
    axes.set_title(
        f"Half of the train texts are longer than {median:,} tokens, the longest has {longest:,}",
        loc="left",
        fontweight="bold",
    )
    axes.legend(ncols=4, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.13), fontsize=9)


def _draw_maxima(axes: Axes, report: DataReport, top: float) -> None:
    end = report.length_edges[-1]
    cut = report.splits[TRAIN].cut
    style = {
        "color": _POSITIVE,
        "va": "center",
        "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    }
    drawn = [maximum for maximum in report.max_length_tokens if maximum <= end]
    for row, maximum in enumerate(drawn):
        axes.axvline(maximum, color=_POSITIVE, linewidth=1.2, linestyle=(0, (4, 3)))
        on_the_left = maximum > 0.7 * end
        axes.text(
            maximum + (-0.006 if on_the_left else 0.006) * end,
            (1.16 - 0.085 * row) * top,
            f"a maximum of {maximum:,} cuts {cut[maximum]:.0%} of train",
            ha="right" if on_the_left else "left",
            **style,
        )
    if beyond := [maximum for maximum in report.max_length_tokens if maximum > end]:
        shares = ", ".join(f"{maximum:,} cuts {cut[maximum]:.1%}" for maximum in beyond)
        axes.text(
            0.99 * end,
            (1.16 - 0.085 * len(drawn)) * top,
            f"beyond: {shares} →",
            ha="right",
            **style,
        )


def _class_colours(report: DataReport) -> dict[str, str]:
    from matplotlib import colormaps

    names = report.label_names
    if len(names) == 2:
        return dict(zip(names, (_NEGATIVE, _POSITIVE), strict=True))
    palette = colormaps["tab10"].colors  # pyright: ignore[reportAttributeAccessIssue]
    shown = _shown_classes(report, report.splits[TRAIN].balance)
    colours = dict(zip([name for name in shown if name != _other(report)], palette, strict=False))
    return {**colours, _other(report): _NEUTRAL}


def _shown_classes(report: DataReport, balance: dict[str, int]) -> dict[str, int]:
    """Keep the largest classes of train apart and add up the others."""
    if len(report.label_names) <= _MAX_CLASSES:
        return balance
    train = report.splits[TRAIN].balance
    largest = sorted(train, key=lambda name: -train[name])[: _MAX_CLASSES - 1]
    shown = {name: balance.get(name, 0) for name in report.label_names if name in largest}
    return {**shown, _other(report): sum(balance.values()) - sum(shown.values())} if balance else {}


def _other(report: DataReport) -> str:
    return f"{len(report.label_names) - _MAX_CLASSES + 1} other classes"


def _balance_title(report: DataReport) -> str:
    train = report.splits[TRAIN]
    name, number = max(train.balance.items(), key=lambda item: item[1])
    share = number / train.number
    if share * len(train.balance) < 1.02:
        return f"{len(train.balance)} classes of the same size"
    if share >= 0.5:
        return f"{share:.0%} of the train reviews are {name}"
    return f"{len(train.balance)} classes; the largest, {name}, has {share:.0%}"


def _flaw_title(report: DataReport) -> str:
    held_out = [name for name in report.leaks if name == TEST] or list(report.leaks)
    leaks = sum(report.leaks[name] for name in held_out)
    where = " and ".join(held_out) or "held-out"
    if leaks:
        return f"{leaks:,} {where} reviews also stand in train"
    if any(report.near_leaks.values()):
        return f"{sum(report.near_leaks.values()):,} held-out reviews nearly stand in train"
    return "No held-out review stands in train"
