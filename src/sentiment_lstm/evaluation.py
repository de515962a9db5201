"""A classifier and labelled reviews in, all that can be measured of the two out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import datasets
import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.abstention import check_threshold
from sentiment_lstm.errors import DataError, ModelError, nearest
from sentiment_lstm.metrics import Evaluation, score_predictions
from sentiment_lstm.text import check_texts, is_blank

__all__ = ["Evaluation", "TextClassifier", "evaluate", "score_predictions"]

# Small enough that a progress bar moves, large enough to sort into batches of one length.
_CHUNK_REVIEWS = 1024


class TextClassifier(Protocol):
    """What is asked of a classifier here; a scikit-learn pipeline comes close."""

    @property
    def labels(self) -> list[str]:
        """The label names; a position is a class id."""
        ...

    def predict_proba(self, texts: list[str], /) -> NDArray[Any]:
        """N texts -> (N, C) probabilities."""
        ...


def evaluate(
    classifier: TextClassifier,
    reviews: datasets.Dataset,
    *,
    worst: int = 20,
    limit: int | None = None,
    seed: int = 0,
    abstain: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Classify a labelled split and compare.

    Labels are matched by name, whatever their numbers are on the two sides. Empty texts are left
    out and counted.

    Args:
        classifier: as `sentiment_lstm.load` gives it.
        reviews: columns `text` and `label` (`ClassLabel`).
        worst: how many mistakes to keep.
        limit: measure on this many reviews only, drawn at random.
        seed: of that draw.
        abstain: also count what is left if confidences below this threshold are withheld.
        on_progress: called with the number of reviews done since the last call.

    Raises:
        DataError: there is no labelled review, or a label that the classifier does not know.
        TextError: a text is not a string, or `abstain` is not from 0 to 1.
        ModelError: the classifier gave something other than probabilities.
    """
    if abstain is not None:
        check_threshold(abstain)  # before minutes of classifying
    texts, labels, rows = _reviews(reviews, limit, seed)
    truth = _class_ids(labels, reviews.features["label"].names, classifier.labels)
    kept = np.array([not is_blank(text) for text in texts])
    if not kept.any():
        raise DataError("All texts of the split are empty. Name another source or split.")
    texts = [text for text, keep in zip(texts, kept, strict=True) if keep]
    skipped = len(kept) - len(texts)
    if on_progress and skipped:
        on_progress(skipped)
    chunks = []
    for start in range(0, len(texts), _CHUNK_REVIEWS):
        chunk = texts[start : start + _CHUNK_REVIEWS]
        chunks.append(np.asarray(classifier.predict_proba(chunk), dtype=np.float64))
        if on_progress:
            on_progress(len(chunk))
    probabilities = np.concatenate(chunks)
    broken = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(broken):
        raise ModelError(
            f"The model gives {len(broken):,} of {len(texts):,} reviews a probability that is not "
            f"a number, the first of them row {rows[kept][broken[0]]}. Its weights are damaged: "
            "copy or train it again."
        )
    return score_predictions(
        probabilities,
        truth[kept],
        label_names=classifier.labels,
        texts=texts,
        positions=rows[kept].tolist(),
        skipped_empty=skipped,
        worst=worst,
        # A scikit-learn pipeline does not say; its classes have no order then.
        ordinal=bool(getattr(classifier, "ordinal", False)),
        abstain=abstain,
    )


def _reviews(
    reviews: datasets.Dataset, limit: int | None, seed: int
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Texts, labels (N,) and rows (N,) of the split, or of a sample of it."""
    label = reviews.features.get("label")
    if "text" not in reviews.features or not isinstance(label, datasets.ClassLabel):
        raise DataError(
            f"Expected the columns text and label (ClassLabel), found {reviews.features}. Load the "
            "reviews by sentiment_lstm.load_reviews."
        )
    rows = np.arange(len(reviews))
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=limit, replace=False))
        reviews = reviews.select(rows)
    if not len(rows):
        raise DataError("The split holds no reviews. Name another source or split.")
    labels = np.asarray(reviews["label"], dtype=np.float64)  # null becomes NaN
    unlabelled = int((~(labels >= 0)).sum())
    if unlabelled:
        raise DataError(
            f"{unlabelled:,} of the {len(labels):,} reviews have no label. Name a split whose "
            "reviews are all labelled."
        )
    return check_texts(reviews["text"], allow_blank=True), labels.astype(np.int64), rows


def _class_ids(
    labels: NDArray[np.int64], names: Sequence[str], known: Sequence[str]
) -> NDArray[np.int64]:
    """Turn the class ids of the reviews into those of the model, name by name."""
    used = [names[int(class_id)] for class_id in np.unique(labels)]
    strange = [name for name in used if name not in known]
    if strange:
        raise DataError(
            f"The reviews are labelled {', '.join(map(repr, used))}; the model knows "
            f"{', '.join(map(repr, known))}.{nearest(strange[0], known)} Rename the labels of the "
            "reviews, or evaluate a model that was trained on them."
        )
    places = {name: class_id for class_id, name in enumerate(known)}
    return np.array([places.get(name, -1) for name in names], dtype=np.int64)[labels]
