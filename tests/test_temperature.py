from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment_lstm.calibration import calibrate
from sentiment_lstm.reliability import log_loss, softmax
from sentiment_lstm.temperature import fit_blend, fit_temperature, fit_temperature_and_bias
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
