from __future__ import annotations

import numpy as np
import pytest

from sentiment_lstm.calibration import softmax
from sentiment_lstm.figures import figure_to_svg
from sentiment_lstm.metric_pictures import MetricPicture, metric_pictures
from sentiment_lstm.metrics import score_predictions


def pictures_of(probabilities, labels, names: list[str]) -> dict[str, MetricPicture]:
    found = metric_pictures(score_predictions(probabilities, labels, label_names=names))
    return {picture.name: picture for picture in found}


def two_classes() -> dict[str, MetricPicture]:
    """Ten reviews, of which one negative and three positive ones are mistaken."""
    positive = [0.1, 0.2, 0.3, 0.4, 0.6, 0.1, 0.2, 0.3, 0.8, 0.9]
    labels = [0] * 5 + [1] * 5
    return pictures_of([[1 - p, p] for p in positive], labels, ["negative", "positive"])


def test_headlines_say_what_the_figures_say():
    pictures = two_classes()
    assert list(pictures) == ["confusion-matrix", "roc", "reliability", "accuracy-coverage"]
    assert pictures["confusion-matrix"].headline == (
        "It mistakes 20.0% of the negative reviews and 60.0% of the positive ones"
    )
    # Of 25 pairs: 1 + 0.5 for 0.1, 0.2 and 0.3 against their equals, 5 each for 0.8 and 0.9.
    assert pictures["roc"].headline == (
        "In 58.0% of all pairs, the positive review is ranked above the negative one"
    )
    assert pictures["reliability"].headline == (
        "Its confidence fits its accuracy, as far as 10 reviews tell: 77.0% confident on average, "
        "60.0% right"
    )


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (0.6, "It is too sure of itself: 90.0% confident"),
        (0.9, "Its confidence fits its accuracy"),
        (0.99, "It is less sure than it could be: 90.0% confident"),
    ],
)
def test_confidence_is_judged_against_the_interval_of_the_accuracy(share: float, verdict: str):
    labels = np.arange(1000) >= 1000 * (1 - share)
    pictures = pictures_of([[0.1, 0.9]] * 1000, labels, ["negative", "positive"])
    assert pictures["reliability"].headline.startswith(verdict)


def test_descriptions_tell_the_figures_to_who_cannot_see_them():
    pictures = two_classes()
    for part in ("Of 5 negative reviews, 4 are", "Of 5 positive reviews, 2 are"):
        assert part in pictures["confusion-matrix"].description
    assert "positive: area under the curve 0.580" in pictures["roc"].description
    assert "100% accuracy at" not in pictures["accuracy-coverage"].description
    assert "60% accuracy at 100% coverage" in pictures["accuracy-coverage"].description
    assert "At a confidence of 90%, 67% of 3 reviews" in pictures["reliability"].description


def test_the_confusion_matrix_shows_counts_and_shares():
    svg = figure_to_svg(two_classes()["confusion-matrix"].figure)
    for text in ("true label", "predicted label", ">4<", ">80.0%<", ">20.0%<", ">60.0%<"):
        assert text in svg


def test_no_mistake_is_said_to_be_none():
    pictures = pictures_of([[0.9, 0.1], [0.2, 0.8]], [0, 1], ["negative", "positive"])
    assert pictures["confusion-matrix"].headline == "No review is mistaken"


def test_reviews_of_one_class_have_no_roc_curve():
    pictures = pictures_of([[0.9, 0.1], [0.2, 0.8]], [1, 1], ["negative", "positive"])
    assert list(pictures) == ["confusion-matrix", "reliability", "accuracy-coverage"]
    assert pictures["confusion-matrix"].headline == (
        "Most often mistaken: 50.0% of the positive reviews, for negative"
    )


@pytest.mark.parametrize("classes", [3, 7, 20])
def test_labels_of_any_number_and_spelling_are_drawn_as_they_are(classes: int):
    names = ["_hidden", "costs $5 or $6", "正面", *(f"label {n}" for n in range(classes - 3))]
    random = np.random.default_rng(0)
    labels = random.integers(classes, size=400)
    logits = random.normal(size=(400, classes)) + 3 * np.eye(classes)[labels]
    pictures = pictures_of(softmax(logits), labels, names)
    matrix = figure_to_svg(pictures["confusion-matrix"].figure)
    for name in names:
        assert matrix.count(f">{name}<") == 2
    curves = figure_to_svg(pictures["roc"].figure)
    assert curves.count(": area ") == min(classes, 8)
    assert ("12 more, of larger area" in curves) == (classes == 20)
    if classes == 3:
        assert all(f">{name}: area " in curves for name in names)


def sure_of(right: list[float], wrong: list[float]) -> MetricPicture:
    """The picture of reviews that were classified rightly and wrongly at these confidences."""
    probabilities = [[1 - p, p] for p in [*right, *wrong]]
    labels = [1] * len(right) + [0] * len(wrong)
    return pictures_of(probabilities, labels, ["bad", "good"])["accuracy-coverage"]


@pytest.mark.parametrize(
    ("right", "wrong", "headline"),
    [
        ([0.9] * 3, [0.6], "Where its confidence reaches 0.900, it is 99% right: on 75% of the"),
        ([0.9] * 19, [0.95], "It can answer every review and still be 95% right"),
        ([0.9], [], "It can answer every review and still be 99% right"),
        ([], [0.9], "However sure it is, it is never 95% right"),
        ([0.9], [0.9], "However sure it is, it is never 95% right"),
    ],
)
def test_the_headline_says_what_can_be_answered(right, wrong, headline: str):
    assert sure_of(right, wrong).headline.startswith(headline)


def test_the_points_of_the_curve_are_named_in_its_legend_below_it():
    picture = sure_of([0.99] * 100 + [0.9] * 95 + [0.7] * 5, [0.9] * 5 + [0.7] * 45)
    svg = figure_to_svg(picture.figure)
    assert ">99% right: 40% answered, from 0.990<" in svg
    assert ">98% right: 40% answered, from 0.990<" in svg
    assert ">95% right: 80% answered, from 0.900<" in svg
    assert "95% accuracy at 80% coverage." in picture.description
    (axes,) = picture.figure.axes
    legend = axes.get_legend()
    assert legend is not None
    lowest = axes.transData.transform((0, 100 * 200 / 250))[1]
    assert legend.get_window_extent().y1 < lowest


@pytest.mark.parametrize("reviews", [1, 2, 9, 10, 11, 1000])
@pytest.mark.parametrize("wrong", [0.0, 0.5, 1.0])
def test_any_number_of_reviews_is_drawn_up_to_all_of_them(reviews: int, wrong: float):
    confidence = np.linspace(0.55, 0.99, reviews)
    cut = round(wrong * reviews)
    picture = sure_of(list(confidence[cut:]), list(confidence[:cut]))
    (axes,) = picture.figure.axes
    curve = axes.get_lines()[1].get_xydata()
    assert curve[-1].tolist() == pytest.approx([100, 100 * (1 - cut / reviews)])
    assert curve[0, 0] == pytest.approx(100 * min(10, reviews) / reviews, abs=0.3)
