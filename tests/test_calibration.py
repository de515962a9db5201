from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment_lstm.calibration import (
    Calibration,
    calibrate,
    fit_blend,
    fit_temperature,
    fit_temperature_and_bias,
    log_loss,
    softmax,
)
from tests.drawn_logits import binary, drawn


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


def test_a_known_bias_is_found_again():
    logits, labels = drawn(20_000, 3)
    bias = np.array([0.8, -0.2, -0.6])
    temperature, found = fit_temperature_and_bias(2 * (logits - bias), labels)
    assert temperature == pytest.approx(2, rel=0.05)
    assert found == pytest.approx(bias, abs=0.06)
    assert sum(found) == pytest.approx(0)


def test_a_bias_is_where_the_log_loss_has_its_minimum():
    logits, labels = drawn(4000, 2)
    temperature, (first, second) = fit_temperature_and_bias(3 * logits + [1, 0], labels)
    losses = [
        log_loss(
            softmax((3 * logits + [1, 0]) / (temperature * scale) + [first + step, second]), labels
        )
        for scale, step in ((1, 0), (1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05))
    ]
    assert min(losses) == losses[0]


def test_a_class_without_reviews_and_a_split_that_is_separated_keep_all_finite():
    temperature, bias = fit_temperature_and_bias(np.zeros((5, 3)), [0, 0, 0, 1, 1])
    assert np.isfinite([temperature, *bias]).all()
    assert bias[2] < bias[1] < bias[0]
    labels = np.array([0, 1] * 50)
    temperature, bias = fit_temperature_and_bias(binary(4.0 * labels - 2), labels)
    assert 0.05 <= temperature <= 20
    assert np.isfinite(bias).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_a_model_that_leans_to_a_class_is_given_a_bias_that_straightens_it(classes: int):
    logits, labels = drawn(4000, classes)
    leaning = logits + np.eye(classes)[0]
    found, fresh = calibrate(leaning[:2000], labels[:2000]), slice(2000, None)
    assert found.bias is not None
    assert len(found.bias) == classes
    assert found.bias[0] == min(found.bias)
    straight, alone = (
        found.rescaled(leaning[fresh]),
        leaning[fresh] / fit_temperature(leaning[:2000], labels[:2000]),
    )
    assert log_loss(softmax(straight), labels[fresh]) < log_loss(softmax(alone), labels[fresh])
    right = (straight.argmax(axis=1) == labels[fresh]).mean()
    assert right > (alone.argmax(axis=1) == labels[fresh]).mean()


def test_a_model_that_leans_to_none_keeps_its_decisions():
    given = []
    for seed in range(10):
        logits, labels = drawn(500, 2, seed=seed)
        found = calibrate(3 * logits, labels)
        given.append(found.bias is not None)
        if found.bias is None:
            assert (found.rescaled(logits).argmax(axis=1) == logits.argmax(axis=1)).all()
            assert found.temperature == fit_temperature(3 * logits, labels)
    assert sum(given) <= 1


def test_the_cross_validated_figures_are_of_reviews_that_were_left_out():
    logits, labels = drawn(300, 2)
    found = calibrate(logits, labels)
    assert found.log_loss_cross_validated is not None
    assert found.log_loss_cross_validated > found.log_loss_after
    assert found.expected_calibration_error_cross_validated is not None
    assert found.calibration_error_by_chance is not None
    assert 0.01 < found.calibration_error_by_chance < 0.06
    few = calibrate(logits[:99], labels[:99])
    assert few.log_loss_cross_validated is few.expected_calibration_error_cross_validated is None
    assert few.bias is None


def test_calibration_keeps_the_thresholds_of_the_calibrated_confidence():
    logits, labels = drawn(5000, 3)
    found = calibrate(2 * logits, labels)
    assert list(found.thresholds) == ["0.95", "0.98", "0.99"]
    probabilities = softmax(found.rescaled(2 * logits))
    answered = probabilities.max(axis=1) >= (found.thresholds["0.95"] or 2)
    right = probabilities.argmax(axis=1) == labels
    assert 0.95 <= right[answered].mean() < 0.96
    assert 0.2 < answered.mean() < 0.9


def test_a_calibration_of_an_older_version_is_read():
    old = {
        "temperature": 2.0,
        "reviews": 5,
        "log_loss_before": 1.0,
        "log_loss_after": 0.5,
        "expected_calibration_error_before": 0.2,
        "expected_calibration_error_after": 0.1,
    }
    found = Calibration.from_dict({**old, "of_a_newer_version": 1})
    assert (found.temperature, found.bias, found.thresholds) == (2.0, None, {})


def test_a_calibration_survives_json():
    logits, labels = drawn(50, 2)
    calibration = calibrate(logits, labels)
    assert Calibration.from_dict(json.loads(json.dumps(calibration.to_dict()))) == calibration


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


@pytest.mark.parametrize("measure", [calibrate, fit_temperature, fit_temperature_and_bias])
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
