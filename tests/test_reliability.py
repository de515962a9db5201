from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from sentiment_lstm.reliability import (
    adaptive_calibration_error,
    calibration_error_by_chance,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    softmax,
)
from tests.drawn_logits import UNFIT, drawn


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


def test_the_adaptive_error_parts_the_reviews_into_bins_of_equal_size():
    # Of four, the two surest share a bin: 0.9 and 0.8 said, one of two right; then 0.7 and 0.6.
    probabilities = np.array([[0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.6, 0.4]])
    error = adaptive_calibration_error(probabilities, [1, 1, 0, 0], bins=2)
    assert error == pytest.approx((abs(0.85 - 0.5) + abs(0.65 - 1.0)) / 2)


def test_the_adaptive_error_sees_what_one_bin_of_equal_width_hides():
    # All between 14/15 and 1: the surer half is too sure, the other half not sure enough.
    probabilities = np.array([[0.01, 0.99]] * 100 + [[0.06, 0.94]] * 100)
    labels = np.array([1] * 94 + [0] * 6 + [1] * 99 + [0])
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0, abs=1e-9)
    assert adaptive_calibration_error(probabilities, labels) == pytest.approx(0.05)


def test_the_adaptive_error_keeps_ties_together_in_any_order():
    confidence = np.array([0.9] * 30 + [0.7] * 30)
    labels = np.array([1] * 20 + [0] * 10 + [1] * 30)
    probabilities = np.stack([1 - confidence, confidence], axis=1)
    error = adaptive_calibration_error(probabilities, labels)
    assert error == pytest.approx(((0.9 - 2 / 3) + 0.3) / 2)
    order = np.random.default_rng(0).permutation(60)
    assert adaptive_calibration_error(probabilities[order], labels[order]) == pytest.approx(error)


def test_the_adaptive_error_of_one_review_is_its_distance():
    assert adaptive_calibration_error([[0.2, 0.8]], [1]) == pytest.approx(0.2)
    assert adaptive_calibration_error([[0.2, 0.7, 0.1]], [0]) == pytest.approx(0.7)


@pytest.mark.parametrize("classes", [2, 4])
def test_chance_alone_shows_the_error_that_true_confidence_shows(classes: int):
    errors, expected = [], []
    for seed in range(40):
        logits, labels = drawn(1000, classes, seed=seed)
        errors.append(expected_calibration_error(softmax(logits), labels))
        expected.append(calibration_error_by_chance(softmax(logits)))
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.1)
    assert calibration_error_by_chance([[0.0, 1.0]]) == 0


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


@pytest.mark.parametrize("measure", [log_loss, reliability_curve, adaptive_calibration_error])
@pytest.mark.parametrize(("scores", "labels", "message"), UNFIT)
def test_labels_that_do_not_fit_the_scores_are_an_error(measure, scores, labels, message: str):
    with pytest.raises(ValueError, match=message):
        measure(scores, labels)
