"""The plots show what was measured, and no name lies on another or on a point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.path import Path as MatplotlibPath
from matplotlib.text import Text

import pictures
import records
import tables
from tests.benchmarks.results import read


def test_the_pictures_are_drawn_from_the_results(measured: Path, tmp_path: Path):
    pictures.pictures(results=measured, images=tmp_path / "images")
    for name in ("accuracy", "accuracy-speed", "training-speed"):
        assert (tmp_path / "images" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture(scope="module")
def crowded(measured: Path) -> dict[str, Any]:
    """Results close together, as those of the best classifiers are; one of another machine."""
    content = read(measured)
    template = content["runs"][0]
    # The same picture on every machine.
    template["conditions"]["machine"]["cpu"] = "loom"
    content["runs"] = [
        {
            **template,
            "row": title,
            "title": title,
            "accuracy": share,
            "interval": [share - 0.003, share + 0.003],
            "training_seconds": seconds,
            "prediction_reviews_per_second": rate,
        }
        for title, share, seconds, rate in [
            ("LSTM, recipe best", 0.945, 20000, 440),
            ("MiniLM, fine-tuned", 0.936, 9000, 25),
            ("LSTM, recipe accurate", 0.931, 3000, 450),
            ("LSTM, recipe default", 0.917, 700, 575),
            ("NB-weighted 1–3-grams + logistic regression", 0.9186, 50, 1231),
            ("TF-IDF 1–2-grams + logistic regression", 0.914, 40, 2331),
            ("fastText bigrams", 0.912, 45, 7994),
            ("LSTM, recipe fast", 0.905, 60, 2400),
            ("LSTM, recipe classic", 0.79, 500, 1233),
        ]
    ]
    elsewhere = json.loads(json.dumps({**content["runs"][3], "training_seconds": 30}))
    elsewhere["conditions"]["machine"]["cpu"] = "abacus"
    elsewhere["prediction_reviews_per_second"] = 20000
    content["runs"].append(elsewhere)
    return content


@pytest.fixture(scope="module", params=["training", "prediction"])
def over(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def axes(crowded: dict[str, Any], over: str) -> Axes:
    """Those of the picture of them, drawn once: the names look for their places for 10 s."""
    return pictures.draw_accuracy(crowded, over).axes[0]


def test_the_names_in_the_accuracy_plots_stand_clear_of_each_other(axes: Axes):
    boxes = {
        text.get_text().split("\n")[0]: text.get_window_extent()
        for text in axes.texts
        if text.get_text()
    }
    recipes = ("best", "accurate", "default", "default ¹", "fast", "classic")
    others = ("MiniLM, fine-tuned", "NB-weighted 1–3-grams", "TF-IDF 1–2-grams", "fastText bigrams")
    assert boxes.keys() == {*(f"recipe {name}" for name in recipes), *others}
    names = list(boxes)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not boxes[name].overlaps(boxes[other]), (name, other)


def test_no_name_in_the_accuracy_plots_lies_on_a_point_or_on_a_line(
    crowded: dict[str, Any], axes: Axes
):
    lines = [MatplotlibPath(axes.transData.transform(line.get_xydata())) for line in axes.lines]
    assert len(lines) > len(crowded["runs"]) / 2, "few points are led to"
    shown = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    points = axes.transData.transform(np.concatenate([drawn.get_offsets() for drawn in shown]))
    assert len(points) == len(crowded["runs"])
    for text in filter(Text.get_text, axes.texts):
        box = text.get_window_extent()
        for line in lines:
            leads_here = any(box.padded(3).contains(*end) for end in line.vertices[[0, -1]])
            assert leads_here or not line.intersects_bbox(box, filled=False), text.get_text()
        assert not any(box.contains(*point) for point in points), text.get_text()


def test_no_line_to_a_name_crosses_another_or_the_frontier(axes: Axes):
    ends = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
    (frontier,) = [MatplotlibPath(line) for line in ends if len(line) > 2]
    leaders = [MatplotlibPath(line) for line in ends if len(line) == 2]
    for place, leader in enumerate(leaders):
        for other in leaders[place + 1 :]:
            assert not leader.intersects_path(other, filled=False)
        middle = MatplotlibPath(leader.interpolated(10).vertices[2:-2])  # its point is on it
        assert not middle.intersects_path(frontier, filled=False)


def test_the_frontier_holds_what_nothing_else_beats_in_both(crowded: dict[str, Any]):
    here = [summary for summary in tables.summarize(crowded["runs"]) if not summary.mark]
    cheap = pictures.pareto_frontier(here, lambda one: one.training_seconds, more=False)
    assert [one.title.split()[-1] for one in cheap] == [
        *("regression", "regression", "accurate", "fine-tuned", "best")
    ]
    fast = pictures.pareto_frontier(here, lambda one: one.reviews_per_second, more=True)
    assert [one.title.split()[-1] for one in fast] == [
        *("bigrams", "regression", "regression", "accurate", "best")
    ]


def test_the_drawn_frontier_is_that_of_one_machine_in_steps(axes: Axes, over: str):
    (line,) = [one for one in axes.lines if one.get_color() == pictures.ACCENT]
    points = line.get_xydata()
    # From corner to corner only one of the two changes.
    assert ((np.diff(points, axis=0) != 0).sum(axis=1) == 1).all()
    assert points[-1, 1] == pytest.approx(94.5)
    assert points[0, 0] == {"training": 40, "prediction": 7994}[over]  # not the abacus's


def test_a_perfect_classifier_and_a_lone_one_can_be_drawn(measured: Path):
    content = read(measured)
    content["runs"] = [{**content["runs"][0], "accuracy": 1.0}]
    axes = pictures.draw_accuracy(content).axes[0]
    points = [one for one in axes.collections if isinstance(one, PathCollection)]
    (place,) = points[-1].get_offsets()
    box = axes.get_window_extent()
    x, y = axes.transData.transform(place)
    assert box.x0 < x < box.x1
    assert box.y0 < y < box.y1 - 5  # in pixels: not on the edge


def test_the_headlines_are_about_the_recipe_wherever_it_was_measured(measured: Path):
    content = read(measured)
    here = {**content["runs"][0], "row": "tfidf", "title": "TF-IDF", "accuracy": 0.91}
    elsewhere = json.loads(json.dumps({**here, "row": "default", "accuracy": 0.9375}))
    elsewhere["conditions"]["machine"]["cpu"] = "abacus"
    again = {**here, "seed": here["seed"] + 1}  # so that most of the runs are of here
    content["runs"] = [here, again, elsewhere]
    for over in ("training", "prediction"):
        assert "93.8 %" in pictures.draw_accuracy(content, over)._suptitle.get_text()
    content["runs"].append({**here, "row": "default", "accuracy": 0.925})
    for over in ("training", "prediction"):
        assert "92.5 %" in pictures.draw_accuracy(content, over)._suptitle.get_text()


def test_the_headlines_say_what_was_measured(measured: Path):
    content = records.read_records(measured / "accuracy.json")
    assert content is not None
    best = tables.summarize(content["runs"])[0]
    for draw in (pictures.draw_accuracy, pictures.draw_prediction):
        heading = draw(content)._suptitle.get_text()
        assert best.title in heading.replace("\n", " ")
    speed = read(measured, "training_speed")
    speed["loops"]["library"]["reviews_per_second"] = 30.0
    speed["loops"]["packed"]["reviews_per_second"] = 5.0
    speed["loops"]["padded"]["reviews_per_second"] = 12.0
    speed["loops"].pop("bfloat16", None)  # measured where the processor is fast in it
    heading = pictures.draw_training_speed(speed)._suptitle.get_text()
    assert "2.5 times" in heading
    assert "bfloat16" not in heading
    speed["loops"]["bfloat16"] = {**speed["loops"]["library"], "reviews_per_second": 48.0}
    figure = pictures.draw_training_speed(speed)
    assert "4.0 in bfloat16" in figure._suptitle.get_text()
    said = [text.get_text() for text in figure.axes[0].texts]
    assert sum(text.endswith("of the limit in bfloat16") for text in said) == 1
