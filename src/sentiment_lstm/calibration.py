"""How far a confidence can be trusted: temperature scaling, and the error that is left after it.

One temperature, and no more, is the rule: it moves no decision, and a few thousand validation
reviews fit it about as well as they could. A bias a class is added where the validation reviews
themselves show that it helps on reviews that it was not fitted on. Short texts get both by
themselves, fitted to sentences of the validation reviews, those with which they begin and end: what
makes a review positive on balance is no measure for one of its sentences.
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
from sentiment_lstm.temperature import fit_temperature, fit_temperature_and_bias

__all__ = [
    "SHORT_TOKENS",
    "Calibration",
    "ReliabilityCurve",
    "ShortCalibration",
    "adaptive_calibration_error",
    "calibrate",
    "calibration_error_by_chance",
    "expected_calibration_error",
    "log_loss",
    "reliability_curve",
    "softmax",
]

# Sentences have up to so many tokens, nearly all of them; whole reviews as many and more.
SHORT_TOKENS = (48, 128)
_FOLDS = 10
_FEWEST_TO_HOLD_OUT = 10 * _FOLDS
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True, kw_only=True)
class ShortCalibration:
    """What was fitted to sentences, for texts as short as these."""

    temperature: float
    bias: list[float]  # one number a class, added after the temperature
    tokens: list[int]  # up to how many tokens a text is short, and from how many on it is long
    sentences: int
    log_loss_before: float  # by the calibration of whole reviews
    log_loss_cross_validated: float

    def shortness(self, lengths: ArrayLike) -> NDArray[np.float64]:
        """How far texts of so many tokens are short ones, from 0 to 1: (N,) -> (N, 1)."""
        short, long = self.tokens
        shares = np.log(long / np.maximum(lengths, 1)) / math.log(long / short)
        return np.clip(shares, 0, 1)[:, None]


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
    short: ShortCalibration | None = None  # where it was shown to help

    def rescaled(self, logits: ArrayLike, lengths: ArrayLike | None = None) -> NDArray[np.float64]:
        """Do to logits (N, C) what a `SentimentModel` that is calibrated so does.

        Args:
            logits: (N, C).
            lengths: (N,) tokens a text; None takes all for long.
        """
        logits = np.asarray(logits, dtype=np.float64)
        return _rescaled_by_length(logits, lengths, self.temperature, self.bias, self.short)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Read back what :meth:`to_dict` gave, of this version or an older one."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        if kept.get("short"):
            kept["short"] = ShortCalibration(**kept["short"])
        return cls(**kept)


def calibrate(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    lengths: ArrayLike | None = None,
    sentences: tuple[ArrayLike, ArrayLike] | None = None,
) -> Calibration:
    """Fit a temperature on validation reviews, a bias where it is shown to help, and measure both.

    The bias can move a decision, so it must earn its place: reviews left out of the fit have to
    lose less by two standard errors, and no fewer of them may be classified rightly.

    Args:
        logits: (N, C), not yet divided by a temperature.
        labels: (N,) class ids.
        lengths: (N,) tokens a review; asked for with `sentences`.
        sentences: logits and labels of short texts; what is fitted to them is kept where sentences
            left out of the fit lose less by two standard errors.

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
    short = None if sentences is None else _calibrate_short(*sentences, temperature, bias)
    before = softmax(logits)
    after = softmax(_rescaled_by_length(logits, lengths, temperature, bias, short))
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
        short=short,
    )


def _fit_temperature_alone(
    logits: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[float, None]:
    return fit_temperature(logits, labels), None


def _calibrate_short(
    logits: ArrayLike, labels: ArrayLike, temperature: float, bias: list[float] | None
) -> ShortCalibration | None:
    logits, labels = checked_scores(logits, labels)
    if len(labels) < _FEWEST_TO_HOLD_OUT:
        return None
    as_long = softmax(_rescaled(logits, temperature, bias))
    left_out = _cross_validated(logits, labels, fit_temperature_and_bias)
    if not _loses_less(as_long, left_out, labels):
        return None
    temperature, bias = fit_temperature_and_bias(logits, labels)
    return ShortCalibration(
        temperature=temperature,
        bias=bias,
        tokens=list(SHORT_TOKENS),
        sentences=len(labels),
        log_loss_before=log_loss(as_long, labels),
        log_loss_cross_validated=log_loss(left_out, labels),
    )


def _rescaled_by_length(
    logits: NDArray[np.float64],
    lengths: ArrayLike | None,
    temperature: float,
    bias: list[float] | None,
    short: ShortCalibration | None,
) -> NDArray[np.float64]:
    if short is None or lengths is None:
        return _rescaled(logits, temperature, bias)
    shortness = short.shortness(lengths)  # (N, 1)
    return shortness * _rescaled(logits, short.temperature, short.bias) + (
        1 - shortness
    ) * _rescaled(logits, temperature, bias)


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
    right, right_before = ((part.argmax(axis=1) == labels).sum() for part in (biased, without))
    return _loses_less(without, biased, labels) and bool(right >= right_before)


def _loses_less(
    before: NDArray[np.float64], after: NDArray[np.float64], labels: NDArray[np.int64]
) -> bool:
    """Say whether probabilities of left-out texts lose less than others, by more than chance."""
    rows = np.arange(len(labels))
    of_truth = (np.maximum(part[rows, labels], SMALLEST_PROBABILITY) for part in (after, before))
    gain = np.subtract(*map(np.log, of_truth))  # (N,) nats
    return bool(gain.mean() > _STANDARD_ERRORS * gain.std() / math.sqrt(len(gain)))
