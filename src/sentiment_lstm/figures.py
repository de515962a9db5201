"""The look that every picture shares: one palette, one way to draw it, one way to save it.

Figures are made without pyplot, so that threads and notebooks are left alone.
"""

from __future__ import annotations

import contextlib
import html
import io
import re
import textwrap
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment_lstm.files import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "DPI",
    "GRID",
    "INK",
    "LINE",
    "NEGATIVE",
    "NEUTRAL",
    "PAPER",
    "POSITIVE",
    "add_headline",
    "class_colours",
    "figure_to_svg",
    "new_figure",
    "plot_learning_curves",
    "save_figure",
    "style_axes",
]

NEGATIVE, POSITIVE, NEUTRAL, ACCENT = "#C8553D", "#2A7F9E", "#6B7280", "#E0A030"
INK, LINE, GRID, PAPER = "#1F2937", "#9CA3AF", "#E5E7EB", "#FFFFFF"
DPI = 150

# What an SVG inside a page takes from the page, so that it follows its dark mode.
_PAGE_COLOURS = {
    INK: "currentColor",
    NEUTRAL: f"var(--muted, {NEUTRAL})",
    LINE: f"var(--line, {LINE})",
    GRID: f"var(--grid, {GRID})",
    PAPER: f"var(--paper, {PAPER})",
}
_POINTS_PER_INCH = 72
# matplotlib names what it draws by a hash salted anew each time, unless it is told the salt.
_SVG_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sentiment-lstm",
    "svg.id": None,
}
_SETTINGS_LOCK = threading.Lock()


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty figure with a white background and a layout that leaves no label cut off."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08)
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor=PAPER, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Axes, *, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Give axes the common look: a light grid behind, two spines, a left-aligned title."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(color=LINE, labelcolor=INK, labelsize=9)
    axes.set_xlabel(xlabel, color=INK, fontsize=9.5)
    axes.set_ylabel(ylabel, color=INK, fontsize=9.5)
    if title:
        axes.set_title(title, loc="left", color=INK, fontsize=10.5, fontweight="bold")


def add_headline(figure: Figure, headline: str) -> None:
    """Put what the reader should see over a figure, which grows by the lines it takes."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(headline, width=max(20, int(width * 11)))
    figure.set_size_inches(width, height + 0.12 + 0.2 * len(lines))
    title = figure.suptitle(
        "\n".join(lines), x=0.02, ha="left", color=INK, fontsize=11, fontweight="bold"
    )
    title.set_parse_math(False)


def class_colours(names: Sequence[str]) -> list[str]:
    """A colour for each class: negative and positive for two, else matplotlib's tab10, in turns."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    if len(names) == 2:
        return [NEGATIVE, POSITIVE]
    tab10 = colormaps["tab10"]
    return [to_hex(tab10(place % tab10.N)) for place in range(len(names))]


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Save as PNG, or as what the name ends in, whole or not at all.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    path = Path(path)
    content = io.BytesIO()
    with _settings(), _missing_glyphs_are_boxes():
        figure.savefig(content, format=path.suffix[1:] or "png", dpi=DPI)
    return write_file(path, content.getvalue())


def figure_to_svg(figure: Figure, *, description: str = "") -> str:
    """Draw a figure as an `<svg>` element to stand inside a page.

    Its text keeps to the page's font and colour, greys and backgrounds to the variables
    `--muted`, `--line`, `--grid` and `--paper` where the page sets them; it scales to the width it
    is given.

    Args:
        figure: its own background is left out.
        description: what a screen reader says in place of the picture.
    """
    content = io.StringIO()
    with _settings(), _missing_glyphs_are_boxes():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    # The style would reach every element of the page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]+", "font-family: inherit", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, replacement in _PAGE_COLOURS.items():
        svg = re.sub(f"{colour}\\b", replacement, svg, flags=re.IGNORECASE)
    width, height = (_POINTS_PER_INCH * inches for inches in figure.get_size_inches())
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(description)}" '
        'stroke-linejoin="round">'
    )
    return _own_ids(head + svg[svg.index(">") + 1 :], description).strip()


def plot_learning_curves(history: Sequence[Mapping[str, Any]], path: str | Path) -> Path:
    """Draw loss and accuracy, epoch by epoch, with the epoch marked whose weights are kept.

    Args:
        history: a record an epoch: `epoch`, `train_loss`, `train_accuracy` and, where there is a
            validation split, `validation_loss` and `validation_accuracy` (else missing or None).
        path: the picture.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    figure = new_figure(9, 3.6)
    validated = [record for record in history if record.get("validation_accuracy") is not None]
    best = max(validated, key=lambda record: record["validation_accuracy"], default=None)
    left, right = figure.subplots(1, 2)
    _draw_curve(left, history, "loss", best, scale=1)
    _draw_curve(right, history, "accuracy", best, scale=100)
    if best is None:
        headline = "No reviews were held out: nothing shows where learning turns into memorising"
    else:
        headline = (
            f"Epoch {best['epoch']} of {history[-1]['epoch']} is kept: it classifies "
            f"{best['validation_accuracy']:.1%} of the validation reviews rightly"
        )
    add_headline(figure, headline)
    return save_figure(figure, path)


def _draw_curve(
    axes: Axes,
    history: Sequence[Mapping[str, Any]],
    kind: str,
    best: Mapping[str, Any] | None,
    *,
    scale: float,
) -> None:
    from matplotlib.ticker import MaxNLocator

    unit = "nats a review" if kind == "loss" else "% of the reviews"
    style_axes(axes, xlabel="epoch", ylabel=unit, title=kind.capitalize())
    for split, colour in (("train", NEUTRAL), ("validation", POSITIVE)):
        points = [
            (record["epoch"], scale * record[f"{split}_{kind}"])
            for record in history
            if record.get(f"{split}_{kind}") is not None
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=split, markersize=4)
    if best is not None and best.get(f"validation_{kind}") is not None:
        at = (best["epoch"], scale * best[f"validation_{kind}"])
        axes.axvline(at[0], color=ACCENT, linestyle=":", zorder=1)
        label = f"kept: epoch {best['epoch']}"
        axes.plot(*at, "o", markersize=9, mfc="none", mec=ACCENT, mew=2, label=label)
    axes.set_xlim(history[0]["epoch"] - 0.3, history[-1]["epoch"] + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Hold matplotlib's settings at ours while a file is drawn; they are the whole process's."""
    import matplotlib

    with _SETTINGS_LOCK, matplotlib.rc_context(_SVG_SETTINGS):
        yield


@contextlib.contextmanager
def _missing_glyphs_are_boxes() -> Iterator[None]:
    """Let a label in a script that matplotlib's font lacks be drawn as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _own_ids(svg: str, name: str) -> str:
    """Drop the ids that nothing refers to, and make the others unlike those of other figures."""
    prefix = f"f{zlib.crc32(name.encode()):08x}-"
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))

    def kept(match: re.Match[str]) -> str:
        return f' id="{prefix}{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', kept, svg)
    return re.sub(r"(url\(#|href=\"#)", rf"\g<1>{prefix}", svg)
