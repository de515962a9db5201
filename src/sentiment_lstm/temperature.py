"""Temperatures, biases and blends of classifiers, fitted where the log loss is least."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sentiment_lstm.reliability import checked_scores, log_loss, softmax

__all__ = ["fit_blend", "fit_temperature", "fit_temperature_and_bias"]

# A validation split that the model separates wholly would ask for a temperature of zero, and one
# that it knows nothing of for an infinite one.
_TEMPERATURE_BOUNDS = (0.05, 20.0)


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


def fit_temperature_and_bias(logits: ArrayLike, labels: ArrayLike) -> tuple[float, list[float]]:
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
