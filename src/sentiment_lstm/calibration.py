"""How far a confidence can be trusted: temperature scaling, and the error that is left after it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Calibration",
    "ReliabilityCurve",
    "calibrate",
    "expected_calibration_error",
    "fit_blend",
    "fit_temperature",
    "log_loss",
    "reliability_curve",
    "softmax",
]

# A validation split that the model separates wholly would ask for a temperature of zero, and one
# that it knows nothing of for an infinite one.
_TEMPERATURE_BOUNDS = (0.05, 20.0)
# Keeps the log loss finite where the true class was given a probability of zero.
_SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted temperature, and what it changed on the reviews it was fitted on."""

    temperature: float
    reviews: int
    log_loss_before: float
    log_loss_after: float
    expected_calibration_error_before: float
    expected_calibration_error_after: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Read back what :meth:`to_dict` gave."""
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class ReliabilityCurve:
    """Confidence against accuracy in equal-width bins; an empty bin has a count of 0 and NaN."""

    edges: NDArray[np.float64]  # (bins + 1,)
    confidence: NDArray[np.float64]  # (bins,), mean in the bin
    accuracy: NDArray[np.float64]  # (bins,)
    count: NDArray[np.int64]  # (bins,)


def calibrate(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fit a temperature on validation reviews and measure what it changes there.

    Args:
        logits: (N, C), not yet divided by a temperature.
        labels: (N,) class ids.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the logits.
    """
    logits, labels = _checked(logits, labels)
    temperature = fit_temperature(logits, labels)
    before, after = softmax(logits), softmax(logits / temperature)
    return Calibration(
        temperature=temperature,
        reviews=len(labels),
        log_loss_before=log_loss(before, labels),
        log_loss_after=log_loss(after, labels),
        expected_calibration_error_before=expected_calibration_error(before, labels),
        expected_calibration_error_after=expected_calibration_error(after, labels),
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

    logits, labels = _checked(logits, labels)
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

    logits, labels = _checked(logits, labels)
    others, _ = _checked(others, labels)
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


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn logits (N, C) into probabilities (N, C) float64, rows that sum to 1."""
    logits = np.asarray(logits, dtype=np.float64)
    if logits.size == 0:
        return logits
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-probability of the true class, in nats.

    A probability below 1e-15 counts as 1e-15.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the probabilities.
    """
    probabilities, labels = _checked(probabilities, labels)
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_truth, _SMALLEST_PROBABILITY)).mean())


def expected_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy, over bins of confidence.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.
        bins: of equal width, over the confidence of the most probable class.

    Returns:
        From 0 (a confidence of 80 % is right in 80 % of the cases) to 1.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the probabilities.

    Source: Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, with 15 bins.
    """
    curve = reliability_curve(probabilities, labels, bins=bins)
    filled = curve.count > 0
    distance = np.abs(curve.confidence[filled] - curve.accuracy[filled])
    return float(np.average(distance, weights=curve.count[filled]))


def reliability_curve(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> ReliabilityCurve:
    """Compare confidence and accuracy, bin by bin of the most probable class's confidence.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.
        bins: of equal width from 0 to 1; each holds its upper edge.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the probabilities.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return ReliabilityCurve(
            edges=edges,
            confidence=np.bincount(place, confidence, bins) / count,
            accuracy=np.bincount(place, right, bins) / count,
            count=count,
        )


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give scores (N, C) and labels (N,) as arrays that fit each other."""
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            f"Expected scores (N, C) and labels (N,), got shapes {scores.shape} and {labels.shape}."
        )
    if not len(labels):
        raise ValueError("There are no reviews to measure: the scores have no row.")
    strange = labels[(labels < 0) | (labels >= scores.shape[1])]
    if len(strange):
        raise ValueError(
            f"A label is {strange[0]}; the scores are of {scores.shape[1]} classes, so labels run "
            f"from 0 to {scores.shape[1] - 1}."
        )
    return scores, labels
