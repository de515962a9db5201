"""Names beside the points of a picture, each on no other name, point or line if that can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import textalloc
from matplotlib.path import Path
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["name_points"]

Point = tuple[float, float]

_TRIES = 200
_SIDES = ("north", "south", "east", "west", "northeast", "northwest", "southeast", "southwest")
_INNER_SHARE = 0.7  # of a leader, without its ends
_POINT_PIXELS = 6  # from a point's centre to where a name may begin


def name_points(
    figure: Figure,
    axes: Axes,
    points: Sequence[Point],
    names: Sequence[str],
    colours: Sequence[str],
    *,
    line: Sequence[Point],
) -> None:
    """Name every point beside it in its colour.

    `textalloc` places one name after the other, so that the last ones find the room that the first
    have left, and looks at the sides of a point in one order: several orders of both are tried,
    and those are kept by which the fewest things lie on another.

    Args:
        figure: whose layout is settled, because it must not move any more.
        axes: with the points drawn.
        points: N places, in data.
        names: N of them.
        colours: N of them; they tell two close points apart.
        line: more of the picture that no name may lie on; one point or none is no line.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    random = np.random.default_rng(0)

    def place() -> tuple[int, list[Any]]:
        chosen = random.permutation(len(points))
        sides = random.permutation(_SIDES).tolist()
        here = [points[row] for row in chosen]
        texts, leaders = _allocate(
            axes,
            here,
            [names[row] for row in chosen],
            [colours[row] for row in chosen],
            line,
            sides,
        )
        overlaps = _count_overlaps(axes, here, texts, leaders, line)
        return overlaps, [artist for artist in (*texts, *leaders) if artist is not None]

    fewest, kept = place()
    for _ in range(_TRIES):
        if not fewest:
            break
        found, drawn = place()
        if found < fewest:
            (fewest, kept), drawn = (found, drawn), kept
        for artist in drawn:
            artist.remove()


def _allocate(
    axes: Axes,
    points: Sequence[Point],
    names: Sequence[str],
    colours: Sequence[str],
    line: Sequence[Point],
    sides: list[str],
) -> tuple[list[Any], list[Any]]:
    across, up = map(list, zip(*points, strict=True))
    lines: list[list[float]] = list(map(list, zip(*line, strict=True))) if len(line) > 1 else []
    _, _, texts, leaders = textalloc.allocate(
        axes,
        across,
        up,
        list(names),
        x_scatter=across,
        y_scatter=up,
        x_lines=lines[:1] or None,
        y_lines=lines[1:] or None,
        textsize=8.5,
        textcolor=list(colours),
        linecolor=list(colours),
        linewidth=0.6,
        max_distance=0.6,
        nbr_candidates=800,
        direction=sides,
        min_distance=0.03,
        # True makes it lay names over points and the line where many stand close together.
        avoid_label_lines_overlap=False,
        avoid_crossing_label_lines=True,
    )
    return texts, leaders


def _count_overlaps(
    axes: Axes,
    points: Sequence[Point],
    texts: Sequence[Any],
    leaders: Sequence[Any],
    line: Sequence[Point],
) -> int:
    """Count what lies on another thing, or might be taken for its.

    Under a name there may be the line, points, the leaders of others and other names; a leader may
    cross the line or another leader; a name may stand nearer to another's point than to its own.
    """
    to_pixels = axes.transData.transform
    boxes = [text.get_window_extent() for text in texts]
    paths = [None if leader is None else Path(to_pixels(leader.get_xydata())) for leader in leaders]
    steps = Path(to_pixels(line)) if len(line) > 1 else None
    places = to_pixels(points)
    found = 0
    for row, box in enumerate(boxes):
        under = [steps, *paths[:row], *paths[row + 1 :]]
        found += sum(path is not None and path.intersects_bbox(box, filled=False) for path in under)
        found += sum(box.padded(_POINT_PIXELS).contains(*place) for place in places)
        found += sum(box.overlaps(other) for other in boxes[row + 1 :])
        found += _nearest(places, box) != row
        leader = paths[row]
        if leader is not None:
            # Its point may lie on the line.
            ends = np.asarray(leader.vertices)
            middle = ends.mean(axis=0)
            inner = Path(middle + _INNER_SHARE * (ends - middle))
            found += sum(
                path is not None and path.intersects_path(inner, filled=False)
                for path in (steps, *paths[row + 1 :])
            )
    return found


def _nearest(places: NDArray[np.float64], box: Any) -> int:  # noqa: ANN401 - a `Bbox`
    """Give the row of the place (N, 2) that lies nearest to a box."""
    beside = np.maximum(np.maximum(box.min - places, places - box.max), 0)  # (N, 2)
    return int(np.hypot(*beside.T).argmin())
