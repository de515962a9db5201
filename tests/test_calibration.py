from __future__ import annotations

import json

import numpy as np
import pytest

from sentiment_lstm.calibration import Calibration, calibrate, log_loss, softmax
from sentiment_lstm.temperature import fit_temperature, fit_temperature_and_bias
from tests.drawn_logits import UNFIT, drawn


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


def test_short_texts_that_lean_are_straightened_by_themselves():
    reviews, labels = drawn(2000, 2)
    sentences, of_sentences = drawn(2000, 2, seed=1)
    leaning = 0.5 * sentences + np.array([0.0, 0.4])
    lengths = np.full(2000, 200)
    lengths[:100] = 20
    found = calibrate(reviews, labels, lengths=lengths, sentences=(leaning, of_sentences))
    alone = calibrate(reviews, labels)
    assert found.short is not None
    assert (found.temperature, found.bias) == (alone.temperature, alone.bias)
    assert found.short.temperature == pytest.approx(0.5, rel=0.15)
    assert found.short.bias[0] - found.short.bias[1] == pytest.approx(0.8, abs=0.25)
    assert found.short.log_loss_cross_validated < found.short.log_loss_before
    assert found.log_loss_after != alone.log_loss_after  # a hundred of the reviews are short
    as_short = reviews / found.short.temperature + np.array(found.short.bias)
    np.testing.assert_allclose(found.rescaled(reviews, lengths)[:100], as_short[:100])
    np.testing.assert_allclose(
        found.rescaled(reviews, lengths)[100:], alone.rescaled(reviews)[100:]
    )
    half = found.rescaled(reviews, np.full(2000, (48 * 128) ** 0.5))
    np.testing.assert_allclose(half, (as_short + alone.rescaled(reviews)) / 2)
    assert Calibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_short_texts_that_do_not_lean_are_taken_like_the_others():
    logits, labels = drawn(4000, 2)
    lengths = np.full(2000, 200)
    like_reviews = (logits[2000:], labels[2000:])
    found = calibrate(logits[:2000], labels[:2000], lengths=lengths, sentences=like_reviews)
    assert found.short is None
    few = (like_reviews[0][:99] + np.array([0, 5.0]), like_reviews[1][:99])
    assert calibrate(logits[:2000], labels[:2000], lengths=lengths, sentences=few).short is None


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


@pytest.mark.parametrize("measure", [calibrate, fit_temperature, fit_temperature_and_bias])
@pytest.mark.parametrize(("scores", "labels", "message"), UNFIT)
def test_labels_that_do_not_fit_the_scores_are_an_error(measure, scores, labels, message: str):
    with pytest.raises(ValueError, match=message):
        measure(scores, labels)
