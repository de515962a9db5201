"""What is measured of a classifier whose probabilities and true labels are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sentiment_lstm.abstention import (
    TARGET_ACCURACIES,
    AbstentionResult,
    CoverageAtAccuracy,
    RiskCoverageCurve,
    abstain_below,
    coverage_at_accuracy,
    risk_coverage_area,
    risk_coverage_curve,
)
from sentiment_lstm.calibration import (
    adaptive_calibration_error,
    calibration_error_by_chance,
    expected_calibration_error,
    log_loss,
    reliability_curve,
)

__all__ = [
    "ClassScores",
    "Evaluation",
    "Mistake",
    "OrdinalScores",
    "ReliabilityBin",
    "RiskCoverage",
    "RocCurve",
    "score_predictions",
    "wilson_interval",
]

_Z_95 = 1.959963984540054
_CURVE_POINTS = 400


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class against all others; where it has no review, the three scores say nothing."""

    label: str
    precision: float  # 0 where no review was given this label
    recall: float
    f1: float
    reviews: int


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The reviews whose confidence falls between two edges."""

    low: float
    high: float
    confidence: float  # mean
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %, Wilson
    reviews: int


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """False against true positives, as the threshold on one class's probability falls."""

    label: str
    area: float
    false_positive_rate: list[float]
    true_positive_rate: list[float]


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """Coverage against risk, as the threshold on the confidence falls; see `abstention`."""

    threshold: list[float]
    coverage: list[float]
    risk: list[float]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A review that was classified wrongly."""

    index: int  # its row in the split, from 0
    text: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class OrdinalScores:
    """How far predictions lie from the truth where the classes have an order."""

    mean_absolute_error: float  # in classes
    quadratic_kappa: float | None  # 1 is best, 0 is chance; None where all is one class
    within_one: float  # share of the reviews that are at most one class off


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that was measured of one classifier on one split; shares run from 0 to 1."""

    reviews: int
    skipped_empty: int
    labels: list[str]
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %, Wilson
    majority_share: float  # the accuracy of always naming the most frequent class
    precision: float  # mean over the classes that have reviews, as recall and F1
    recall: float
    f1: float
    roc_auc: float | None  # of the second of two classes, or the mean of one against all others
    roc_auc_missing: str | None  # why there is none
    log_loss: float  # nats
    brier_score: float  # summed over the classes, so from 0 to 2
    ordinal: OrdinalScores | None  # only where the classes have an order
    expected_calibration_error: float  # 15 bins of equal width
    adaptive_calibration_error: float  # 15 bins of equally many reviews
    calibration_error_by_chance: (
        float  # what so few reviews would show of a confidence that is true
    )
    risk_coverage_area: float  # 0 is best; the error rate if confidence were no help
    coverage_at_accuracy: list[CoverageAtAccuracy]
    abstention: AbstentionResult | None  # where a threshold was given
    classes: list[ClassScores]
    confusion: list[list[int]]  # rows are true classes, columns predicted ones
    roc: list[RocCurve]
    reliability: list[ReliabilityBin]  # filled bins only
    risk_coverage: RiskCoverage
    mistakes: list[Mistake]  # most confident first

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """Give the single figures and the confusion matrix, without curves and texts."""
        left_out = {"classes", "roc", "reliability", "risk_coverage", "mistakes", "labels"}
        return {key: value for key, value in self.to_dict().items() if key not in left_out}


def score_predictions(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    label_names: Sequence[str],
    texts: Sequence[str] | None = None,
    positions: Sequence[int] | None = None,
    skipped_empty: int = 0,
    worst: int = 20,
    ordinal: bool = False,
    abstain: float | None = None,
) -> Evaluation:
    """Compare probabilities with the truth.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.
        label_names: C names.
        texts: N texts, for the mistakes.
        positions: N numbers by which the mistakes name their reviews; 0 to N - 1 if left out.
        skipped_empty: reviews left out because their text is empty.
        worst: how many mistakes to keep.
        ordinal: the classes have an order, that of their ids; measure distances as well.
        abstain: also count what is left if confidences below this threshold are withheld.

    Raises:
        ValueError: there are no reviews, or the arguments do not fit each other.
        TextError: the threshold is not from 0 to 1.
    """
    from sklearn.metrics import confusion_matrix

    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    loss = log_loss(probabilities, labels)  # the first to look at the shapes
    if len(label_names) != probabilities.shape[1]:
        raise ValueError(
            f"Expected {probabilities.shape[1]} label names, one a column, got {len(label_names)}."
        )
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    is_right = predicted == labels
    right = int(is_right.sum())
    curve = risk_coverage_curve(confidence, is_right)
    classes = _class_scores(labels, predicted, label_names)
    present = [scores for scores in classes if scores.reviews]
    missing = [scores.label for scores in classes if not scores.reviews]
    roc = _roc_curves(probabilities, labels, label_names)
    one_hot = np.eye(len(label_names))[labels]  # (N, C)
    return Evaluation(
        reviews=len(labels),
        skipped_empty=skipped_empty,
        labels=list(label_names),
        accuracy=right / len(labels),
        accuracy_interval=wilson_interval(right, len(labels)),
        majority_share=max(scores.reviews for scores in classes) / len(labels),
        precision=fmean(scores.precision for scores in present),
        recall=fmean(scores.recall for scores in present),
        f1=fmean(scores.f1 for scores in present),
        roc_auc=None if missing else fmean(curve.area for curve in roc),
        roc_auc_missing=f"there is no review of {', '.join(missing)}" if missing else None,
        log_loss=loss,
        brier_score=float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        expected_calibration_error=expected_calibration_error(probabilities, labels),
        ordinal=_ordinal_scores(labels, predicted, len(label_names)) if ordinal else None,
        adaptive_calibration_error=adaptive_calibration_error(probabilities, labels),
        calibration_error_by_chance=calibration_error_by_chance(probabilities),
        risk_coverage_area=risk_coverage_area(confidence, is_right),
        coverage_at_accuracy=[coverage_at_accuracy(curve, goal) for goal in TARGET_ACCURACIES],
        abstention=None if abstain is None else abstain_below(confidence, is_right, abstain),
        classes=classes,
        confusion=confusion_matrix(labels, predicted, labels=np.arange(len(label_names))).tolist(),
        roc=roc,
        reliability=_reliability(probabilities, labels),
        risk_coverage=_thinned(curve),
        mistakes=_mistakes(probabilities, labels, label_names, texts, positions, worst),
    )


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, sound near 0 and 1 and for few reviews.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    share, z2 = right / total, _Z_95**2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = (_Z_95 / (1 + z2 / total)) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    # Where all are right or all wrong, the interval ends there; rounding must not keep it short.
    low = 0.0 if right == 0 else center - half
    return low, 1.0 if right == total else center + half


def _ordinal_scores(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_labels: int
) -> OrdinalScores:
    from sklearn.metrics import cohen_kappa_score

    distance = np.abs(predicted - labels)
    # Where truth and predictions are one and the same class throughout, chance is right as well.
    defined = len({*np.unique(labels), *np.unique(predicted)}) > 1
    kappa = (
        cohen_kappa_score(labels, predicted, labels=np.arange(num_labels), weights="quadratic")
        if defined
        else None
    )
    return OrdinalScores(
        mean_absolute_error=float(distance.mean()),
        quadratic_kappa=None if kappa is None else float(kappa),
        within_one=float((distance <= 1).mean()),
    )


def _class_scores(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], label_names: Sequence[str]
) -> list[ClassScores]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        labels,
        predicted,
        labels=np.arange(len(label_names)),
        zero_division=0.0,  # type: ignore[arg-type]
    )
    return [
        ClassScores(
            label=name,
            precision=float(precision),
            recall=float(recall),
            f1=float(f1),
            reviews=int(reviews),
        )
        for name, precision, recall, f1, reviews in zip(
            label_names, *map(np.asarray, columns), strict=True
        )
    ]


def _roc_curves(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], label_names: Sequence[str]
) -> list[RocCurve]:
    """One curve for two classes, else one a class; none for a class that is missing or alone."""
    from sklearn.metrics import roc_auc_score, roc_curve

    curves = []
    for class_id in [1] if len(label_names) == 2 else range(len(label_names)):
        truth, scores = labels == class_id, probabilities[:, class_id]
        if truth.all() or not truth.any():
            continue
        false_rate, true_rate, _ = roc_curve(truth, scores)
        kept = _kept_points(len(false_rate))
        curves.append(
            RocCurve(
                label=label_names[class_id],
                area=float(roc_auc_score(truth, scores)),
                false_positive_rate=false_rate[kept].tolist(),
                true_positive_rate=true_rate[kept].tolist(),
            )
        )
    return curves


def _thinned(curve: RiskCoverageCurve) -> RiskCoverage:
    kept = _kept_points(len(curve.threshold))
    return RiskCoverage(
        threshold=curve.threshold[kept].tolist(),
        coverage=curve.coverage[kept].tolist(),
        risk=curve.risk[kept].tolist(),
    )


def _kept_points(points: int) -> NDArray[np.int64]:
    """Which points of a curve are kept, its two ends among them."""
    return np.linspace(0, points - 1, min(_CURVE_POINTS, points)).round().astype(np.int64)


def _reliability(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> list[ReliabilityBin]:
    curve = reliability_curve(probabilities, labels)
    bins = []
    for place in np.flatnonzero(curve.count):
        total, accuracy = int(curve.count[place]), float(curve.accuracy[place])
        bins.append(
            ReliabilityBin(
                low=float(curve.edges[place]),
                high=float(curve.edges[place + 1]),
                confidence=float(curve.confidence[place]),
                accuracy=accuracy,
                accuracy_interval=wilson_interval(round(accuracy * total), total),
                reviews=total,
            )
        )
    return bins


def _mistakes(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    label_names: Sequence[str],
    texts: Sequence[str] | None,
    positions: Sequence[int] | None,
    worst: int,
) -> list[Mistake]:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = np.argsort(-confidence[wrong], kind="stable")[:worst]
    return [
        Mistake(
            index=place if positions is None else positions[place],
            text="" if texts is None else texts[place],
            label=label_names[int(labels[place])],
            predicted=label_names[int(predicted[place])],
            confidence=float(confidence[place]),
        )
        for place in map(int, wrong[order])
    ]
