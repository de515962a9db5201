"""How far confidence and accuracy lie apart, measured on probabilities and true labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ReliabilityCurve",
    "adaptive_calibration_error",
    "calibration_error_by_chance",
    "checked_scores",
    "expected_calibration_error",
    "log_loss",
    "reliability_curve",
    "softmax",
]

# Keeps the log loss finite where the true class was given a probability of zero.
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True, kw_only=True)
class ReliabilityCurve:
    """Confidence against accuracy in equal-width bins; an empty bin has a count of 0 and NaN."""

    edges: NDArray[np.float64]  # (bins + 1,)
    confidence: NDArray[np.float64]  # (bins,), mean in the bin
    accuracy: NDArray[np.float64]  # (bins,)
    count: NDArray[np.int64]  # (bins,)


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
    probabilities, labels = checked_scores(probabilities, labels)
    of_truth = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_truth, SMALLEST_PROBABILITY)).mean())


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


def adaptive_calibration_error(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 15
) -> float:
    """Mean distance between confidence and accuracy, over bins of equally many reviews.

    Where most confidences are near 1, bins of equal width leave them all to a single one; these
    look there as closely as elsewhere. Reviews of one confidence share a bin.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.
        bins: the most of them; ties, or fewer reviews, leave fewer.

    Returns:
        From 0 to 1, as :func:`expected_calibration_error`.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the probabilities.

    Source: Nguyen & O'Connor 2015, arXiv 1508.05154; Nixon et al. 2019, arXiv 1904.01685.
    """
    probabilities, labels = checked_scores(probabilities, labels)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # By the middle rank of its ties, so that the order of the reviews in the file is of no matter.
    _, tie, count = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = count.cumsum() - (count + 1) / 2
    place = np.floor(middle[tie] * bins / len(labels)).astype(np.int64)
    gaps = np.bincount(place, confidence) - np.bincount(place, right)
    return float(np.abs(gaps).sum() / len(labels))


def calibration_error_by_chance(probabilities: ArrayLike, *, bins: int = 15) -> float:
    """Expect the calibration error that so many reviews show of a confidence that is wholly true.

    Accuracy in a bin is a count of hits, which scatters around its mean even if the confidence is
    right; few reviews therefore never measure an error near 0.

    Args:
        probabilities: (N, C), at least one row.
        bins: as for :func:`expected_calibration_error`.
    """
    confidence = np.asarray(probabilities, dtype=np.float64).max(axis=1)
    variance = np.bincount(_bins(confidence, bins), confidence * (1 - confidence), bins)
    # The mean distance of a normal variable from its mean is this share of its deviation.
    return float(np.sqrt(2 / math.pi * variance).sum() / len(confidence))


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
    probabilities, labels = checked_scores(probabilities, labels)
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = _bins(confidence, bins)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return ReliabilityCurve(
            edges=edges,
            confidence=np.bincount(place, confidence, bins) / count,
            accuracy=np.bincount(place, right, bins) / count,
            count=count,
        )


def checked_scores(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give scores (N, C) and labels (N,) as arrays that fit each other.

    Raises:
        ValueError: there are no reviews, or the labels do not fit the scores.
    """
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


def _bins(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The bin of equal width that each confidence falls into; a bin holds its upper edge."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
