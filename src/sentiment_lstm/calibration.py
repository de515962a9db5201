"""How far a confidence can be trusted: temperature scaling, and the error that is left after it.

One temperature, and no more, is the rule: it moves no decision, and a few thousand validation
reviews fit it about as well as they could. A bias a class is added where the validation reviews
themselves show that it helps on reviews that it was not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sentiment_lstm.abstention import target_thresholds
from sentiment_lstm.reliability import (
    SMALLEST_PROBABILITY,
    ReliabilityCurve,
    adaptive_calibration_error,
    calibration_error_by_chance,
    checked_scores,
    expected_calibration_error,
    log_loss,
    reliability_curve,
    softmax,
)

__all__ = [
    "Calibration",
    "ReliabilityCurve",
    "adaptive_calibration_error",
    "calibrate",
    "calibration_error_by_chance",
    "expected_calibration_error",
    "fit_blend",
    "fit_temperature",
    "fit_temperature_and_bias",
    "log_loss",
    "reliability_curve",
    "softmax",
]

# A validation split that the model separates wholly would ask for a temperature of zero, and one
# that it knows nothing of for an infinite one.
_TEMPERATURE_BOUNDS = (0.05, 20.0)
_FOLDS = 10
_FEWEST_TO_HOLD_OUT = 10 * _FOLDS
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was fitted, and what it changed on the reviews it was fitted on.

    A calibration error after fitting flatters, for it is measured where it was made small; the
    cross-validated one is of reviews that were left out of the fit.
    """

    temperature: float
    bias: list[float] | None = None  # one number a class, added after the temperature
    reviews: int
    log_loss_before: float
    log_loss_after: float
    log_loss_cross_validated: float | None = None  # None for too few reviews to hold any out
    expected_calibration_error_before: float
    expected_calibration_error_after: float
    expected_calibration_error_cross_validated: float | None = None
    # What so few reviews would show of a confidence that is true, so no error to mend.
    calibration_error_by_chance: float | None = None
    # By target accuracy, the confidence from which these reviews were answered that well.
    thresholds: dict[str, float | None] = field(default_factory=dict)

    def rescaled(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Do to logits (N, C) what a `SentimentModel` of this temperature and bias does."""
        return _rescaled(np.asarray(logits, dtype=np.float64), self.temperature, self.bias)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Read back what :meth:`to_dict` gave, of this version or an older one."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def calibrate(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fit a temperature on validation reviews, a bias where it is shown to help, and measure both.

    The bias can move a decision, so it must earn its place: reviews left out of the fit have to
    lose less by two standard errors, and no fewer of them may be classified rightly.

    Args:
        logits: (N, C), not yet divided by a temperature.
        labels: (N,) class ids.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the logits.
    """
    logits, labels = checked_scores(logits, labels)
    bias, left_out = None, None
    if len(labels) >= _FEWEST_TO_HOLD_OUT:
        left_out = _cross_validated(logits, labels, _fit_temperature_alone)
        biased = _cross_validated(logits, labels, fit_temperature_and_bias)
        if _helps(left_out, biased, labels):
            left_out, bias = biased, fit_temperature_and_bias(logits, labels)[1]
    if bias is None:
        temperature = fit_temperature(logits, labels)
    else:
        temperature = fit_temperature_and_bias(logits, labels)[0]
    before, after = softmax(logits), softmax(_rescaled(logits, temperature, bias))
    return Calibration(
        temperature=temperature,
        bias=bias,
        reviews=len(labels),
        log_loss_before=log_loss(before, labels),
        log_loss_after=log_loss(after, labels),
        log_loss_cross_validated=None if left_out is None else log_loss(left_out, labels),
        expected_calibration_error_before=expected_calibration_error(before, labels),
        expected_calibration_error_after=expected_calibration_error(after, labels),
        expected_calibration_error_cross_validated=(
            None if left_out is None else expected_calibration_error(left_out, labels)
        ),
        calibration_error_by_chance=calibration_error_by_chance(after),
        thresholds=target_thresholds(after.max(axis=1), after.argmax(axis=1) == labels),
    )


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Find the one number to divide the logits by so that their softmax loses least.

    Args:
        logits: (N, C).
        labels: (N,) class ids.

    Returns:
        A temperature from 0.05 to 20; above 1, the model was too sure of itself. The log loss is
        never above that of the logits as they are.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the logits.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits, labels = checked_scores(logits, labels)
    rows = np.arange(len(labels))

    # From the logits, not from probabilities: those round to 0, where the loss has no slope left.
    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(-log_softmax(scaled, axis=1)[rows, labels].mean())

    # The loss is convex in 1/temperature, so it has one valley over the logarithm too, in which a
    # temperature of 2 is as far from 1 as one of 1/2.
    low, high = np.log(_TEMPERATURE_BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    # The search never quite reaches a bound, and a flat loss would let it end anywhere.
    candidates = sorted([0.0, float(found.x), float(low), float(high)], key=abs)
    return float(np.exp(min(candidates, key=loss)))


def fit_temperature_and_bias(
    logits: ArrayLike, labels: ArrayLike
) -> tuple[float, list[float] | None]:
    """Find a temperature, and a number a class to add after it, whose softmax loses least.

    Args:
        logits: (N, C).
        labels: (N,) class ids.

    Returns:
        A temperature from 0.05 to 20, and C numbers that sum to 0. A class without reviews keeps a
        finite one: a normal prior of width 1 weighs as much as a single review.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the logits.

    Source: Platt 1999, "Probabilistic Outputs for Support Vector Machines"; Guo et al. 2017, arXiv
    1706.04599, as vector scaling, here with one scale for all classes.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    logits, labels = checked_scores(logits, labels)
    truth = np.eye(logits.shape[1])[labels]  # (N, C)

    # Convex in the inverse of the temperature and the bias together.
    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = log_softmax(values[0] * logits + values[1:], axis=1)
        slope = (np.exp(scaled) - truth) / len(labels)  # (N, C)
        prior = float((values[1:] ** 2).sum()) / (2 * len(labels))
        gradient = np.array(
            [(slope * logits).sum(), *(slope.sum(axis=0) + values[1:] / len(labels))]
        )
        return float(-(scaled * truth).sum(axis=1).mean()) + prior, gradient

    low, high = 1 / _TEMPERATURE_BOUNDS[1], 1 / _TEMPERATURE_BOUNDS[0]
    start = np.zeros(1 + logits.shape[1])
    start[0] = 1 / fit_temperature(logits, labels)
    bounds = [(low, high), *[(None, None)] * logits.shape[1]]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    bias = found.x[1:] - found.x[1:].mean()
    return float(1 / found.x[0]), [float(value) for value in bias]


def fit_blend(logits: ArrayLike, others: ArrayLike, labels: ArrayLike) -> float:
    """Find how much of a second classifier to add to a first one so that their sum loses least.

    The sum is judged at the temperature that :func:`fit_temperature` gives it.

    Args:
        logits: (N, C) of the first.
        others: (N, C) of the second.
        labels: (N,) class ids.

    Returns:
        A factor for `others`, 0 or more, so that the sum is ``logits + factor * others``.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the logits.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = checked_scores(logits, labels)
    others, _ = checked_scores(others, labels)
    # Each at its own temperature, so that a share of one half means equal weights.
    ratio = fit_temperature(logits, labels) / fit_temperature(others, labels)

    def factor(share: float) -> float:
        return ratio * share / (1 - share)

    # The sum as it will be used: where the first knows nothing, ever larger factors would sharpen
    # it until no temperature within the bounds could bring its confidence back.
    def loss(share: float) -> float:
        blended = logits + factor(share) * others
        return log_loss(softmax(blended / fit_temperature(blended, labels)), labels)

    found = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    return min((0.0, factor(float(found.x))), key=lambda value: loss(value / (ratio + value)))


def _fit_temperature_alone(
    logits: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[float, None]:
    return fit_temperature(logits, labels), None


def _rescaled(
    logits: NDArray[np.float64], temperature: float, bias: list[float] | None
) -> NDArray[np.float64]:
    return logits / temperature + (0.0 if bias is None else np.array(bias))


def _cross_validated(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    fit: Callable[[Any, Any], tuple[float, list[float] | None]],
) -> NDArray[np.float64]:
    """Probabilities (N, C) of each review by a fit on the nine tenths that it is not in."""
    # Drawn, not cut: reviews of one class, or one source, often stand together.
    fold = np.random.default_rng(0).permutation(len(labels)) % _FOLDS
    probabilities = np.empty_like(logits)
    for held_out in (fold == number for number in range(_FOLDS)):
        temperature, bias = fit(logits[~held_out], labels[~held_out])
        probabilities[held_out] = softmax(_rescaled(logits[held_out], temperature, bias))
    return probabilities


def _helps(
    without: NDArray[np.float64], biased: NDArray[np.float64], labels: NDArray[np.int64]
) -> bool:
    """Say whether a bias wins on left-out reviews by more than chance, at no cost in decisions."""
    rows = np.arange(len(labels))
    of_truth = (np.maximum(part[rows, labels], SMALLEST_PROBABILITY) for part in (biased, without))
    gain = np.subtract(*map(np.log, of_truth))  # (N,) nats
    right, right_before = ((part.argmax(axis=1) == labels).sum() for part in (biased, without))
    error = gain.std() / math.sqrt(len(gain))
    return bool(gain.mean() > _STANDARD_ERRORS * error and right >= right_before)
