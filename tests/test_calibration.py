from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from sentiment_lstm.calibration import (
    Calibration,
    calibrate,
    expected_calibration_error,
    fit_blend,
    fit_temperature,
    log_loss,
    reliability_curve,
    softmax,
)


def drawn(reviews: int, classes: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Logits, and labels drawn by just the probabilities that the logits stand for."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(reviews, classes))
    chances = softmax(logits).cumsum(axis=1)
    return logits, (random.random((reviews, 1)) > chances).sum(axis=1)


def binary(margins: NDArray) -> NDArray:
    """Logits of two classes whose difference is the margin."""
    return np.stack([-margins, margins], axis=1) / 2


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_known_temperature_is_found_again(temperature: float, classes: int):
    logits, labels = drawn(20_000, classes)
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_where_the_log_loss_has_its_minimum():
    logits, labels = drawn(200, 3)
    best = fit_temperature(5 * logits, labels)
    losses = [log_loss(softmax(5 * logits / (best * step)), labels) for step in (0.98, 1, 1.02)]
    assert min(losses) == losses[1]


@pytest.mark.parametrize(("sign", "bound"), [(1, 0.05), (-1, 20.0)])
def test_a_split_that_is_wholly_separated_ends_at_a_bound(sign: int, bound: float):
    labels = np.array([0, 1, 1])
    assert fit_temperature(sign * binary(2.0 * labels - 1), labels) == pytest.approx(bound)


def test_logits_that_say_nothing_are_left_as_they_are():
    assert fit_temperature(np.zeros((4, 2)), [0, 1, 1, 1]) == 1.0


def test_confidence_that_is_wholly_wrong_is_still_brought_down():
    # As probabilities these are 0 and 1, whose log loss tells nothing of the temperature.
    logits = binary(np.array([900.0] * 9 + [-900.0]))
    after = softmax(logits / fit_temperature(logits, np.ones(10, dtype=int)))
    assert log_loss(after, np.ones(10, dtype=int)) < 5


@pytest.mark.parametrize("reviews", [1, 3, 50])
@pytest.mark.parametrize("scale", [0.01, 1, 100])
def test_calibrating_never_raises_the_log_loss(reviews: int, scale: float):
    logits, labels = drawn(reviews, 2, seed=reviews)
    calibration = calibrate(scale * logits, labels)
    assert calibration.log_loss_after <= calibration.log_loss_before
    assert 0.05 <= calibration.temperature <= 20
    assert calibration.reviews == reviews


def test_calibrating_an_overconfident_model_makes_its_confidence_true():
    logits, labels = drawn(20_000, 3)
    calibration = calibrate(4 * logits, labels)
    assert calibration.expected_calibration_error_before > 0.1
    assert calibration.expected_calibration_error_after < 0.015


def test_a_calibration_survives_json():
    logits, labels = drawn(50, 2)
    calibration = calibrate(logits, labels)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


def test_confidence_that_is_true_has_almost_no_calibration_error():
    logits, labels = drawn(50_000, 4)
    assert expected_calibration_error(softmax(logits), labels) < 0.01


def test_the_calibration_error_is_the_mean_distance_weighted_by_reviews():
    # Six reviews at 90 %, three of them right: 0.4 apart. Four at 70 %, all right: 0.3 apart.
    probabilities = np.array([[0.1, 0.9]] * 6 + [[0.7, 0.3]] * 4)
    labels = np.array([1, 1, 1, 0, 0, 0] + [0] * 4)
    error = expected_calibration_error(probabilities, labels)
    assert error == pytest.approx(0.6 * 0.4 + 0.4 * 0.3)
    # In a single bin, too much and too little confidence make up for each other.
    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(0.12)


def test_the_calibration_error_of_three_classes_looks_at_the_most_probable_one():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    assert expected_calibration_error(probabilities, [0, 2]) == pytest.approx((0.5 + 0.2) / 2)
    assert expected_calibration_error(probabilities, [2, 0]) == pytest.approx((0.5 + 0.8) / 2)


def test_each_review_is_in_the_bin_of_its_confidence():
    probabilities = np.array([[0.05, 0.95], [1.0, 0.0], [0.45, 0.55], [0.5, 0.5]])
    curve = reliability_curve(probabilities, [1, 1, 0, 0], bins=10)
    assert curve.count.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 2]
    assert curve.confidence[[4, 5, 9]].tolist() == pytest.approx([0.5, 0.55, 0.975])
    assert curve.accuracy[[4, 5, 9]].tolist() == [1.0, 0.0, 0.5]
    assert np.isnan(curve.accuracy[curve.count == 0]).all()
    assert curve.edges.tolist() == pytest.approx(np.arange(11) / 10)


def test_the_log_loss_is_that_of_scikit_learn_and_finite_at_zero():
    logits, labels = drawn(100, 3)
    expected = sklearn.metrics.log_loss(labels, softmax(logits), labels=[0, 1, 2])
    assert log_loss(softmax(logits), labels) == pytest.approx(expected)
    assert log_loss([[1.0, 0.0]], [1]) == pytest.approx(-np.log(1e-15))


def test_softmax_of_huge_logits_neither_overflows_nor_loses_its_sum():
    probabilities = softmax([[1e4, 1e4 - 1], [-1e4, 1e4]])
    assert probabilities[0] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.e)])
    assert probabilities[1].tolist() == [0, 1]
    assert softmax(np.zeros((0, 3))).shape == (0, 3)


def blend_parts() -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Two classifiers that err apart, one that knows nothing, and the labels."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, size=2000)
    first, second = (
        binary(strength * (2 * labels - 1) + 2 * random.normal(size=2000)) for strength in (2, 1.5)
    )
    return first, second, binary(0.01 * random.normal(size=2000)), labels


def test_two_classifiers_that_err_apart_are_better_together():
    first, second, _, labels = blend_parts()
    factor = fit_blend(first, second, labels)
    together = calibrate(first + factor * second, labels).log_loss_after
    assert together < 0.8 * calibrate(first, labels).log_loss_after
    for other in (0.8 * factor, 1.25 * factor):
        assert together < calibrate(first + other * second, labels).log_loss_after


def test_a_classifier_that_knows_nothing_is_left_out_of_the_blend():
    first, _, nothing, labels = blend_parts()
    alone = calibrate(first, labels).log_loss_after
    for one, other in ((first, nothing), (nothing, first)):
        blended = one + fit_blend(one, other, labels) * other
        assert calibrate(blended, labels).log_loss_after == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize("measure", [calibrate, fit_temperature, log_loss, reliability_curve])
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.zeros((0, 2)), [], "There are no reviews"),
        (np.zeros((2, 2)), [0], r"shapes \(2, 2\) and \(1,\)"),
        (np.zeros(2), [0, 1], r"shapes \(2,\) and \(2,\)"),
        (np.zeros((2, 2)), [0, 2], "A label is 2; .* 2 classes"),
        (np.zeros((2, 2)), [0, -1], "A label is -1"),
    ],
)
def test_labels_that_do_not_fit_the_scores_are_an_error(measure, scores, labels, message: str):
    with pytest.raises(ValueError, match=message):
        measure(scores, labels)
