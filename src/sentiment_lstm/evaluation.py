"""How good a classifier is on labelled reviews: figures, curves and its worst errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import datasets
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from sentiment_lstm.calibration import expected_calibration_error, log_loss, reliability_curve
from sentiment_lstm.errors import DataError
from sentiment_lstm.text import is_blank

__all__ = [
    "ClassScores",
    "Evaluation",
    "Mistake",
    "ReliabilityBin",
    "RocCurve",
    "evaluate",
    "score_predictions",
    "wilson_interval",
]

_Z_95 = 1.959963984540054
_CURVE_POINTS = 400


class TextClassifier(Protocol):
    """What is asked of a classifier here."""

    @property
    def labels(self) -> list[str]:
        """The label names; a position is a class id."""
        ...

    def predict_proba(
        self, texts: list[str], *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities (N, C)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One class against all others."""

    label: str
    precision: float
    recall: float
    f1: float
    reviews: int


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The reviews whose confidence falls between two edges."""

    low: float
    high: float
    confidence: float
    accuracy: float
    reviews: int


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """False against true positives, as the threshold on one class's probability falls."""

    label: str
    false_positive_rate: list[float]
    true_positive_rate: list[float]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A review that was classified wrongly."""

    index: int
    text: str
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All that was measured of one classifier on one split; shares run from 0 to 1."""

    reviews: int
    skipped_empty: int
    labels: list[str]
    accuracy: float
    accuracy_interval: tuple[float, float]  # 95 %, Wilson
    precision: float  # mean over the classes, as recall and F1
    recall: float
    f1: float
    roc_auc: float | None  # None where a class has no review
    log_loss: float
    brier_score: float
    expected_calibration_error: float
    classes: list[ClassScores]
    confusion: list[list[int]]  # rows are true classes, columns predicted ones
    roc: list[RocCurve]
    reliability: list[ReliabilityBin]  # filled bins only
    mistakes: list[Mistake]  # most confident first

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """Give the single figures, without curves and texts."""
        left_out = {"classes", "roc", "reliability", "mistakes", "labels"}
        return {key: value for key, value in self.to_dict().items() if key not in left_out}


def evaluate(
    classifier: TextClassifier,
    reviews: datasets.Dataset,
    *,
    worst: int = 20,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Classify a labelled split and compare.

    Labels are matched by name, whatever their numbers are on the two sides.

    Args:
        classifier: as `sentiment_lstm.load` gives it.
        reviews: columns `text` and `label` (`ClassLabel`).
        worst: how many mistakes to keep.
        on_progress: called with the number of reviews done since the last call.

    Raises:
        DataError: there is no labelled review, or a label that the classifier does not know.
    """
    names = reviews.features["label"].names
    known = classifier.labels
    texts, labels = list(reviews["text"]), np.asarray(reviews["label"], dtype=np.int64)
    if not len(texts) or (labels < 0).any():
        raise DataError(
            f"The split holds {len(texts)} reviews, {int((labels < 0).sum())} of them without a "
            "label. Name a split whose reviews are all labelled."
        )
    strange = [names[class_id] for class_id in np.unique(labels) if names[class_id] not in known]
    if strange:
        raise DataError(
            f"The reviews carry labels that the model does not know ({', '.join(strange)}); it "
            f"knows {', '.join(known)}. Rename the labels, or evaluate another model."
        )
    kept = np.array([not is_blank(text) for text in texts])
    if not kept.any():
        raise DataError("All texts of the split are empty. Name another source.")
    positions = np.flatnonzero(kept)
    truth = np.array([known.index(names[labels[position]]) for position in positions])
    kept_texts = [texts[position] for position in positions]
    probabilities = classifier.predict_proba(kept_texts, on_progress=on_progress)
    return score_predictions(
        probabilities,
        truth,
        label_names=known,
        texts=kept_texts,
        positions=positions.tolist(),
        skipped_empty=len(texts) - len(positions),
        worst=worst,
    )


def score_predictions(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    label_names: Sequence[str],
    texts: Sequence[str] | None = None,
    positions: Sequence[int] | None = None,
    skipped_empty: int = 0,
    worst: int = 20,
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
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    predicted = probabilities.argmax(axis=1)
    class_ids = np.arange(len(label_names))
    right = int((predicted == labels).sum())
    precision, recall, f1, support = (
        np.asarray(values)
        for values in precision_recall_fscore_support(
            labels,
            predicted,
            labels=class_ids,
            zero_division=0.0,  # type: ignore[arg-type]
        )
    )
    present = support > 0
    one_hot = np.eye(len(label_names))[labels]
    curve = reliability_curve(probabilities, labels)
    return Evaluation(
        reviews=len(labels),
        skipped_empty=skipped_empty,
        labels=list(label_names),
        accuracy=right / len(labels),
        accuracy_interval=wilson_interval(right, len(labels)),
        precision=float(precision[present].mean()),
        recall=float(recall[present].mean()),
        f1=float(f1[present].mean()),
        roc_auc=_roc_auc(probabilities, labels, present),
        log_loss=log_loss(probabilities, labels),
        brier_score=float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        expected_calibration_error=expected_calibration_error(probabilities, labels),
        classes=[
            ClassScores(
                label=name,
                precision=float(precision[class_id]),
                recall=float(recall[class_id]),
                f1=float(f1[class_id]),
                reviews=int(support[class_id]),
            )
            for class_id, name in enumerate(label_names)
        ],
        confusion=confusion_matrix(labels, predicted, labels=class_ids).tolist(),
        roc=_roc_curves(probabilities, labels, label_names, present),
        reliability=[
            ReliabilityBin(
                low=float(curve.edges[place]),
                high=float(curve.edges[place + 1]),
                confidence=float(curve.confidence[place]),
                accuracy=float(curve.accuracy[place]),
                reviews=int(curve.count[place]),
            )
            for place in np.flatnonzero(curve.count)
        ],
        mistakes=_mistakes(probabilities, labels, label_names, texts, positions, worst),
    )


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """95 % interval of a share, sound near 0 and 1 and for few reviews.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    share, z2 = right / total, _Z_95**2
    center = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = (_Z_95 / (1 + z2 / total)) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, center - half), min(1.0, center + half)


def _roc_auc(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], present: NDArray[np.bool_]
) -> float | None:
    """Of the second of two classes, or the mean of each class against all others."""
    if not present.all():
        return None
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(labels, probabilities[:, 1]))
    return float(
        np.mean(
            [
                roc_auc_score(labels == class_id, probabilities[:, class_id])
                for class_id in range(probabilities.shape[1])
            ]
        )
    )


def _roc_curves(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    label_names: Sequence[str],
    present: NDArray[np.bool_],
) -> list[RocCurve]:
    """One curve for two classes, else one a class; none for a class that is missing or alone."""
    curves = []
    for class_id in [1] if len(label_names) == 2 else range(len(label_names)):
        if not present[class_id] or present.sum() < 2:
            continue
        false_rate, true_rate, _ = roc_curve(labels == class_id, probabilities[:, class_id])
        kept = np.unique(
            np.linspace(0, len(false_rate) - 1, min(_CURVE_POINTS, len(false_rate))).round()
        ).astype(np.int64)
        curves.append(
            RocCurve(
                label=label_names[class_id],
                false_positive_rate=false_rate[kept].tolist(),
                true_positive_rate=true_rate[kept].tolist(),
            )
        )
    return curves


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
