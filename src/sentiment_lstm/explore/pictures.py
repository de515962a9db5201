"""Maps into pictures: a PNG with labels that never overlap, and an interactive page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import textalloc
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sentiment_lstm.explore.maps import ReviewMap, TokenMap
from sentiment_lstm.figures import (
    INK,
    LINE,
    NEGATIVE,
    POSITIVE,
    add_headline,
    class_colours,
    new_figure,
    save_figure,
    style_axes,
)
from sentiment_lstm.files import write_file
from sentiment_lstm.text import shorten

__all__ = ["draw_reviews", "draw_tokens", "label_places", "save_maps"]

_METHODS = ("PCA", "t-SNE")
_PULLS = LinearSegmentedColormap.from_list("pull", [NEGATIVE, "#E5E7EB", POSITIVE])
_POSITIONS = LinearSegmentedColormap.from_list(
    "position", ["#F0C872", "#C8553D", "#7A3B69", "#26355D"]
)
_HOVER_CHARACTERS = 90
# One map of a page, at the least, and what stands in it; all in pixels.
_PAGE_MAP_PX = np.array([480.0, 560.0])
_MARKER_PX, _LETTER_PX, _LINE_PX = 6.0, 6.0, 12.0
# A label's place beside its point, by Plotly's name: to the right, and up.
_PLACES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "top left": (-1, 1),
    "bottom right": (1, -1),
    "bottom left": (-1, -1),
}


def draw_tokens(tokens: TokenMap) -> Figure:
    """Draw the words of a review by PCA and by t-SNE, side by side, every word readable.

    Colour tells the word's place in the review, or, with a classifier, its pull on the prediction.
    """
    figure = new_figure(15, 8)
    axes = figure.subplots(1, 2)
    values, norm, colours, caption = _token_colours(tokens)
    for axis, method, plane in _planes(axes, tokens.projection):
        points = axis.scatter(
            plane[:, 0], plane[:, 1], c=values, cmap=colours, norm=norm, s=34, zorder=3
        )
        points.set_edgecolor("#37415166")
        axis.margins(0.1)
        _name_axes(axis, method, tokens)
    scale = ScalarMappable(norm, colours)
    figure.colorbar(scale, ax=axes, shrink=0.7, pad=0.02, label=caption)
    add_headline(figure, _token_title(tokens))
    # Labels are placed by what is drawn already, so they come last, and nothing may move after.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis, _, plane in _planes(axes, tokens.projection):
        textalloc.allocate(
            axis,
            plane[:, 0],
            plane[:, 1],
            [point.label.replace("$", r"\$") for point in tokens.points],
            x_scatter=plane[:, 0],
            y_scatter=plane[:, 1],
            textsize=9,
            textcolor=INK,
            linecolor=LINE,
            linewidth=0.6,
            max_distance=0.4,
        )
    return figure


def draw_reviews(reviews: ReviewMap) -> Figure:
    """Draw whole reviews by PCA and by t-SNE, side by side, coloured by label."""
    figure = new_figure(13, 6.4)
    axes = figure.subplots(1, 2)
    labels = np.array(reviews.labels)
    for axis, method, plane in _planes(axes, reviews.projection):
        for name, colour in _label_colours(reviews).items():
            of_label = labels == name
            axis.scatter(
                plane[of_label, 0],
                plane[of_label, 1],
                s=26,
                alpha=0.75,
                color=colour,
                linewidths=0,
                label=f"{name} ({of_label.sum()})",
            )
        _name_axes(axis, method, reviews)
    axes[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    add_headline(figure, _review_title(reviews))
    return figure


def save_maps(folder: Path, *, tokens: TokenMap | None, reviews: ReviewMap | None) -> list[Path]:
    """Write each map as PNG and as a page, and the numbers of both as JSON.

    Returns:
        The files, in the order they were written.

    Raises:
        SaveError: a file cannot be written.
    """
    written = []
    content: dict[str, Any] = {}
    if tokens is not None:
        content["tokens"] = tokens.to_dict()
        save_figure(draw_tokens(tokens), folder / "tokens.png")
        write_file(folder / "tokens.html", _token_page(tokens).encode("utf-8"))
        written += [folder / "tokens.png", folder / "tokens.html"]
    if reviews is not None:
        content["reviews"] = reviews.to_dict()
        save_figure(draw_reviews(reviews), folder / "reviews.png")
        write_file(folder / "reviews.html", _review_page(reviews).encode("utf-8"))
        written += [folder / "reviews.png", folder / "reviews.html"]
    numbers = json.dumps(content, ensure_ascii=False, allow_nan=False)
    write_file(folder / "explore.json", numbers.encode("utf-8"))
    return [*written, folder / "explore.json"]


def _planes(axes: Sequence[Any], projection: Any) -> list[tuple[Any, str, NDArray[np.float64]]]:  # noqa: ANN401
    return list(zip(axes, _METHODS, (projection.pca, projection.tsne), strict=True))


def _name_axes(axis: Axes, method: str, shown: TokenMap | ReviewMap) -> None:
    projection = shown.projection
    first, second = projection.explained_variance
    if method == "PCA":
        style_axes(
            axis,
            title="PCA: the two directions in which they differ most",
            xlabel=f"first component ({first:.0%} of the variance)",
            ylabel=f"second component ({second:.0%})",
        )
    else:
        style_axes(
            axis,
            title="t-SNE: neighbours stay neighbours",
            xlabel=f"perplexity {projection.perplexity:.0f}; far distances mean nothing",
        )
    axis.set_xticks([])
    axis.set_yticks([])


def _token_colours(
    tokens: TokenMap,
) -> tuple[NDArray[np.float64], Normalize, LinearSegmentedColormap, str]:
    if tokens.pull_label is None:
        positions = np.array([point.position for point in tokens.points], dtype=np.float64)
        norm = Normalize(1, max(2, len(positions)))
        return positions, norm, _POSITIONS, "position in the review, in words"
    pulls = np.array([point.pull or 0.0 for point in tokens.points])
    limit = float(np.abs(pulls).max()) or 1.0
    norm = TwoSlopeNorm(0.0, -limit, limit)
    return pulls, norm, _PULLS, f"pull of the word towards {tokens.pull_label}, in log-odds"


def _token_title(tokens: TokenMap) -> str:
    title = f"Words of one review as {tokens.encoder} sees them in their context"
    if tokens.probabilities is not None:
        label, share = max(tokens.probabilities.items(), key=lambda item: item[1])
        title += f"; the classifier says {label} ({share:.0%})"
    if tokens.truncated:
        title += f"; the first {tokens.shown_tokens} of {tokens.length_tokens} tokens"
    return title


def _review_title(reviews: ReviewMap) -> str:
    title = f"{len(reviews.texts)} whole reviews as {reviews.encoder} sees them"
    if reviews.agreement is not None and reviews.chance_agreement is not None:
        title += (
            f": {reviews.agreement:.0%} of the {reviews.neighbours} nearest neighbours share the "
            f"label, {reviews.chance_agreement:.0%} would by chance"
        )
    return title


def _label_colours(reviews: ReviewMap) -> dict[str, str]:
    names = list(dict.fromkeys([*reviews.label_names, *reviews.labels]))
    return dict(zip(names, class_colours(names), strict=True))


def _token_page(tokens: TokenMap) -> str:
    import plotly.graph_objects as go

    values, norm, colours, caption = _token_colours(tokens)
    scale = [
        [step / 10, f"rgb{tuple(round(255 * part) for part in colours(step / 10)[:3])}"]
        for step in range(11)
    ]
    hover = [
        f"<b>{escape(point.label)}</b><br>word {point.position}"
        + ("" if point.pull is None else f"<br>pull {point.pull:+.2f}")
        for point in tokens.points
    ]

    labels = [point.label for point in tokens.points]
    order = (
        np.argsort(-np.abs(values), kind="stable") if tokens.points[0].pull is not None else None
    )

    def trace(plane: NDArray[np.float64], last: bool) -> Any:  # noqa: ANN401
        places = label_places(plane, labels, order)
        return go.Scatter(
            x=plane[:, 0].round(6).tolist(),
            y=plane[:, 1].round(6).tolist(),
            mode="markers+text",
            text=[
                escape(label) if place else "" for label, place in zip(labels, places, strict=True)
            ],
            textposition=[place or "top center" for place in places],
            textfont={"size": 10},
            hovertext=hover,
            hoverinfo="text",
            showlegend=False,
            marker={
                "size": 9,
                "color": values.tolist(),
                "colorscale": scale,
                "cmin": norm.vmin,
                "cmax": norm.vmax,
                "line": {"width": 0.5, "color": "#374151"},
                "showscale": last,
                "colorbar": {"title": {"text": caption, "side": "right"}},
            },
        )

    note = (
        "Every point is a word, placed by its contextual embedding. Point at one to read its place "
        "and its pull, or the word itself where there is no room for it; drag to zoom in, "
        "double-click to zoom out."
    )
    return _page(_token_title(tokens), note, tokens, [[trace], [trace]])


def label_places(
    plane: NDArray[np.float64], labels: Sequence[str], order: NDArray[np.int64] | None = None
) -> list[str | None]:
    """Find a place beside each point of a page's map where its label covers nothing.

    Args:
        plane: (N, 2), the points.
        labels: N texts.
        order: who chooses first; the order of the points if None.

    Returns:
        N positions by Plotly's names; None where a label has no room.
    """
    low, high = plane.min(axis=0), plane.max(axis=0)
    points = (plane - low) / np.maximum(high - low, 1e-9) * _PAGE_MAP_PX  # (N, 2)
    taken = [(x - _MARKER_PX, y - _MARKER_PX, x + _MARKER_PX, y + _MARKER_PX) for x, y in points]
    places: list[str | None] = [None] * len(labels)
    for row in range(len(labels)) if order is None else order:
        x, y = points[row]
        half, height = len(labels[row]) * _LETTER_PX / 2, _LINE_PX
        for name, (right, up) in _PLACES.items():
            left = x - half + right * (half + _MARKER_PX)
            bottom = y - height / 2 + up * (height / 2 + _MARKER_PX)
            box = (left, bottom, left + 2 * half, bottom + height)
            if not any(_overlap(box, other) for at, other in enumerate(taken) if at != row):
                places[row] = name
                taken.append(box)
                break
    return places


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _review_page(reviews: ReviewMap) -> str:
    import plotly.graph_objects as go

    labels = np.array(reviews.labels)
    traces = []
    for name, colour in _label_colours(reviews).items():
        rows = np.flatnonzero(labels == name)
        hover = [
            f"<b>{escape(name)}</b><br>{escape(shorten(reviews.texts[row], _HOVER_CHARACTERS))}"
            for row in rows
        ]

        def trace(
            plane: NDArray[np.float64],
            last: bool,
            rows: NDArray[np.int64] = rows,
            name: str = name,
            colour: str = colour,
            hover: list[str] = hover,
        ) -> Any:  # noqa: ANN401
            return go.Scatter(
                x=plane[rows, 0].round(6).tolist(),
                y=plane[rows, 1].round(6).tolist(),
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=last,
                hovertext=hover,
                hoverinfo="text",
                marker={"size": 8, "opacity": 0.75, "color": colour},
            )

        traces.append(trace)
    note = (
        "Every point is a whole review, placed by the mean of its tokens' embeddings. Point at one "
        "to read how it begins; click a label in the legend to hide it."
    )
    return _page(_review_title(reviews), note, reviews, [traces, traces])


def _page(title: str, note: str, shown: TokenMap | ReviewMap, traces: list[list[Any]]) -> str:
    """One file with both planes side by side; plotly's code stands in it, nothing is fetched."""
    from plotly.subplots import make_subplots

    projection = shown.projection
    first, second = projection.explained_variance
    figure = make_subplots(
        rows=1,
        cols=2,
        horizontal_spacing=0.04,
        subplot_titles=(
            f"PCA ({first + second:.0%} of the variance)",
            f"t-SNE (perplexity {projection.perplexity:.0f})",
        ),
    )
    for column, plane in enumerate((projection.pca, projection.tsne), start=1):
        for trace in traces[column - 1]:
            figure.add_trace(trace(plane, column == 2), row=1, col=column)
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    figure.update_layout(template="plotly_white", margin={"l": 20, "r": 20, "t": 50, "b": 20})
    body = figure.to_html(
        include_plotlyjs=True,
        full_html=False,
        div_id="map",
        default_height="78vh",
        config={"displaylogo": False, "responsive": True},
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        "<style>body{font:16px/1.5 system-ui,sans-serif;color:#111827;margin:1.5rem}"
        "h1{font-size:1.2rem;margin:0}p{color:#4B5563;margin:.3rem 0 1rem}</style>\n"
        f"</head>\n<body>\n<h1>{escape(title)}</h1>\n<p>{escape(note)}</p>\n{body}\n"
        "</body>\n</html>\n"
    )
