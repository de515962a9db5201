"""Answer only what is sure: how often a classifier errs on the reviews that it dares to answer.

A review is answered where the confidence in its label reaches a threshold, and withheld below it.
The coverage is the share of the reviews that are answered, the risk the share of those that are
answered wrongly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sentiment_lstm.errors import ModelError, TextError

__all__ = [
    "TARGET_ACCURACIES",
    "AbstentionResult",
    "CoverageAtAccuracy",
    "RiskCoverageCurve",
    "abstain_below",
    "check_threshold",
    "coverage_at_accuracy",
    "read_threshold",
    "risk_coverage_area",
    "risk_coverage_curve",
    "target_thresholds",
]

# What a reader of a report is shown, and a model folder keeps a threshold for.
TARGET_ACCURACIES = (0.99, 0.98, 0.95)


@dataclass(frozen=True, kw_only=True)
class RiskCoverageCurve:
    """One point a distinct confidence, from the highest, which answers fewest, to the lowest."""

    threshold: NDArray[np.float64]  # (points,)
    coverage: NDArray[np.float64]  # (points,), rising to 1
    risk: NDArray[np.float64]  # (points,)


@dataclass(frozen=True, kw_only=True)
class CoverageAtAccuracy:
    """The most reviews that can be answered so that the wanted share of them is right."""

    target: float
    coverage: float | None  # None where no threshold reaches the target
    threshold: float | None
    accuracy: float | None  # of the answered


@dataclass(frozen=True, kw_only=True)
class AbstentionResult:
    """What became of the reviews when those below a threshold were withheld."""

    threshold: float
    reviews: int
    answered: int
    coverage: float
    accuracy: float | None  # of the answered; None where none was
    errors: int  # if all were answered
    errors_avoided: int  # of those, how many were withheld


def risk_coverage_curve(confidence: ArrayLike, right: ArrayLike) -> RiskCoverageCurve:
    """Follow coverage and risk as the threshold falls.

    Reviews of one confidence are answered together, for no threshold parts them.

    Args:
        confidence: (N,) in the label that was given.
        right: (N,) bool.

    Raises:
        ValueError: there are no reviews, or the two differ in length.

    Source: El-Yaniv & Wiener 2010, "On the Foundations of Noise-free Selective Classification".
    """
    confidence, right = _checked(confidence, right)
    thresholds, place = np.unique(-confidence, return_inverse=True)
    answered = np.bincount(place).cumsum()
    wrong = np.bincount(place, ~right).cumsum()
    return RiskCoverageCurve(
        threshold=-thresholds, coverage=answered / len(right), risk=wrong / answered
    )


def risk_coverage_area(confidence: ArrayLike, right: ArrayLike) -> float:
    """Mean risk over all coverages: 0 if nothing is wrong, the error rate if confidence is no help.

    Reviews of one confidence count in every order, so that theirs in the file is of no matter.

    Args:
        confidence: (N,) in the label that was given.
        right: (N,) bool.

    Raises:
        ValueError: there are no reviews, or the two differ in length.

    Source: Geifman & El-Yaniv 2017, "Selective Classification for Deep Neural Networks",
    arXiv 1705.08500.
    """
    confidence, right = _checked(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    _, place, count = np.unique(-confidence[order], return_inverse=True, return_counts=True)
    wrong = np.bincount(place, ~right[order]) / count
    return float((wrong[place].cumsum() / np.arange(1, len(right) + 1)).mean())


def coverage_at_accuracy(curve: RiskCoverageCurve, target: float) -> CoverageAtAccuracy:
    """Find the largest coverage at which at least the target share of the answers is right."""
    # A share such as 0.95 and its complement are no exact binary numbers.
    reached = np.flatnonzero(curve.risk <= 1 - target + 1e-12)
    if not len(reached):
        return CoverageAtAccuracy(target=target, coverage=None, threshold=None, accuracy=None)
    last = reached[-1]
    return CoverageAtAccuracy(
        target=target,
        coverage=float(curve.coverage[last]),
        threshold=float(curve.threshold[last]),
        accuracy=float(1 - curve.risk[last]),
    )


def target_thresholds(
    confidence: ArrayLike, right: ArrayLike, targets: Sequence[float] = TARGET_ACCURACIES
) -> dict[str, float | None]:
    """Give the threshold of each target accuracy, None where it is out of reach.

    Of fewer answers than `1 / (1 - target)`, a single wrong one misses the target, and none wrong
    tells little: 10 of 10 are right for many a model of 90 %. A threshold that answers so few is
    not given.

    Args:
        confidence: (N,) in the label that was given.
        right: (N,) bool.
        targets: shares of right answers.

    Returns:
        Keys such as `"0.95"`, in rising order, for JSON knows no number as a key.

    Raises:
        ValueError: there are no reviews, or the two differ in length.
    """
    confidence, right = _checked(confidence, right)
    curve = risk_coverage_curve(confidence, right)
    thresholds: dict[str, float | None] = {}
    for target in sorted(targets):
        found = coverage_at_accuracy(curve, target)
        enough = round((found.coverage or 0) * len(right)) >= _fewest_answers(target)
        thresholds[_key(target)] = found.threshold if enough else None
    return thresholds


def abstain_below(confidence: ArrayLike, right: ArrayLike, threshold: float) -> AbstentionResult:
    """Withhold the reviews whose confidence is below a threshold, and count what is left.

    Args:
        confidence: (N,) in the label that was given.
        right: (N,) bool.
        threshold: from 0, which withholds nothing, to 1.

    Raises:
        ValueError: there are no reviews, or the two differ in length.
        TextError: the threshold is out of its range.
    """
    confidence, right = _checked(confidence, right)
    answers = confidence >= check_threshold(threshold)
    answered = int(answers.sum())
    return AbstentionResult(
        threshold=threshold,
        reviews=len(right),
        answered=answered,
        coverage=answered / len(right),
        accuracy=float(right[answers].mean()) if answered else None,
        errors=int((~right).sum()),
        errors_avoided=int((~right & ~answers).sum()),
    )


def check_threshold(threshold: float) -> float:
    """Give the threshold back if it is a confidence.

    Raises:
        TextError: it is not a number from 0 to 1.
    """
    if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise TextError(
            f"The threshold to abstain below is {threshold!r}; expected a confidence from 0 to 1, "
            "such as 0.9."
        )
    return float(threshold)


def read_threshold(value: str, *, folder: object, thresholds: Mapping[str, object]) -> float:
    """Read what a user wrote: a confidence such as `0.9`, or a target accuracy such as `99%`.

    Args:
        value: as it was written.
        folder: the model's, for messages.
        thresholds: what its calibration.json keeps, by target accuracy.

    Returns:
        The threshold, from 0 to 1; that of a target accuracy was chosen on validation reviews.

    Raises:
        TextError: it is neither of the two, or out of its range.
        ModelError: the folder keeps no threshold for the target accuracy.
    """
    number = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%?)\s*", value)
    try:
        parsed = float(number[1]) if number else math.nan
    except ValueError:
        parsed = math.nan
    if number and number[2] and 0 < parsed <= 100:
        return _threshold_for(parsed / 100, value.strip(), folder, thresholds)
    if not number or number[2] or not 0 <= parsed <= 1:
        raise TextError(
            f"--abstain is {value!r}; expected a confidence from 0 to 1, such as 0.9, or a target "
            "accuracy in percent, such as 99%."
        )
    return parsed


def _threshold_for(
    target: float, written: str, folder: object, thresholds: Mapping[str, object]
) -> float:
    if not thresholds:
        raise ModelError(
            f"{folder}: keeps no thresholds for target accuracies, so --abstain {written} cannot "
            "be looked up. Train the model again with a validation split, or give a confidence "
            "such as --abstain 0.9."
        )
    if _key(target) not in thresholds:
        known = ", ".join(f"{100 * float(key):g}%" for key in thresholds)
        raise ModelError(
            f"{folder}: keeps no threshold for an accuracy of {written}, only for {known}. Name "
            "one of them, or give a confidence such as --abstain 0.9."
        )
    threshold = thresholds[_key(target)]
    if threshold is None:
        raise ModelError(
            f"{folder}: no confidence gave an accuracy of {written} on "
            f"{_fewest_answers(target):,} or more of its validation reviews, and fewer are too few "
            "to tell. Name a lower accuracy, or give a confidence such as --abstain 0.9."
        )
    if not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise ModelError(
            f"{folder}: the threshold for an accuracy of {written} is {threshold!r}, expected a "
            "confidence from 0 to 1. Copy calibration.json again from where the model was trained."
        )
    return float(threshold)


def _fewest_answers(target: float) -> float:
    """How many answers tell whether the target is reached: so many that one may be wrong."""
    # The complement of a share such as 0.95 is no exact binary number.
    return math.ceil(1 / (1 - target) - 1e-9) if target < 1 else math.inf


def _key(target: float) -> str:
    return f"{target:.6g}"


def _checked(
    confidence: ArrayLike, right: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if confidence.ndim != 1 or confidence.shape != right.shape:
        raise ValueError(
            f"Expected a confidence (N,) and whether it is right (N,), got shapes "
            f"{confidence.shape} and {right.shape}."
        )
    if not len(right):
        raise ValueError("There are no reviews to measure.")
    return confidence, right
