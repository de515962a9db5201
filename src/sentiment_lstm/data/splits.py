"""Splits that are stratified by label and that no text, nor a near-duplicate of one, crosses."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from sentiment_lstm.data.near_duplicates import near_duplicate_groups
from sentiment_lstm.errors import DataError
from sentiment_lstm.text import hash_text, is_blank

__all__ = [
    "VALIDATION_SEED",
    "draw_reviews",
    "fingerprint",
    "named_split",
    "split_reviews",
    "training_splits",
]

logger = logging.getLogger(__name__)

# Of the validation split that a training holds out, whatever its own seed: a student then holds out
# the very reviews that its teacher has never seen.
VALIDATION_SEED = 0

_FINGERPRINT_TEXTS = 1_000


def split_reviews(dataset: Dataset, *, test_size: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split reviews in two, stratified by label, with near-duplicates always on the same side.

    Groups of near-duplicates are taken in a random order into the second part while its share of
    every class has room, so single texts and groups have the same chance. Both parts keep the
    order of the rows.

    Args:
        dataset: columns `text` and `label`.
        test_size: the share of the second part, between 0 and 1; at least one review a class.
        seed: which of the possible splits.

    Returns:
        The larger part and the part of `test_size`.

    Raises:
        DataError: `test_size` is not between 0 and 1, or all texts of a class are near-duplicates
            of each other, so that they cannot stand on both sides.
    """
    if not 0 < test_size < 1:
        raise DataError(f"The test size is {test_size}; expected a share between 0 and 1.")
    labels = np.asarray(dataset["label"][:], dtype=np.int64)
    groups = near_duplicate_groups(dataset["text"][:])
    is_test = _choose_groups(groups, labels, test_size, np.random.default_rng(seed))
    for label in np.unique(labels):
        of_label = labels == label
        if not (is_test & of_label).any() or not (~is_test & of_label).any():
            name, size = _label_name(dataset, int(label)), int(of_label.sum())
            why = (
                "it has one review"
                if size == 1
                else f"its {size} reviews are one text or near-duplicates of each other"
            )
            raise DataError(
                f"The class {name!r} cannot stand on both sides of a split: {why}. Add different "
                "ones."
            )
    return dataset.select(np.flatnonzero(~is_test)), dataset.select(np.flatnonzero(is_test))


def training_splits(
    reviews: DatasetDict, *, validation_size: float
) -> tuple[Dataset, Dataset | None, int]:
    """Split what is trained on from what is held out, without blank texts.

    Args:
        reviews: split `train`; columns `text` and `label`. A split `validation` is used as it is;
            else a share of `train` is held out.
        validation_size: that share; 0 holds nothing out.

    Returns:
        Both parts, the second None where nothing is held out, and how many training texts were
        blank.

    Raises:
        DataError: there is no split `train`, or it is of one class, or cannot be split.
    """
    if "train" not in reviews:
        raise DataError(
            f"There is no split 'train', only {', '.join(map(str, reviews))}. Name another source."
        )
    train, blank = _without_blanks(reviews["train"], "training")
    validation = reviews.get("validation")
    if validation is not None:
        validation, _ = _without_blanks(validation, "validation")
    if len(set(train["label"])) < 2:
        raise DataError("The training reviews are all of one class. Add reviews of another.")
    if not validation_size:
        return train, None, blank
    if validation is None:
        train, validation = split_reviews(train, test_size=validation_size, seed=VALIDATION_SEED)
    return train, validation, blank


def _without_blanks(part: Dataset, name: str) -> tuple[Dataset, int]:
    if not any(map(is_blank, part["text"])):
        return part, 0
    kept = part.filter(lambda text: not is_blank(text), input_columns="text")
    blank = len(part) - len(kept)
    logger.warning("%d of %d %s texts are empty and left out.", blank, len(part), name)
    return kept, blank


def named_split(reviews: DatasetDict, name: str, *, source: str) -> Dataset:
    """Give one split.

    Args:
        reviews: by split.
        name: of the one that is wanted.
        source: what the reviews were loaded from, for the message.

    Raises:
        DataError: there is no such split; the message lists those there are.
    """
    if name not in reviews:
        raise DataError(
            f"{source}: there is no split {name!r}; the splits are: "
            f"{', '.join(map(repr, reviews))}. Name one of them by --split."
        )
    return reviews[name]


def draw_reviews(dataset: Dataset, limit: int | None, *, seed: int) -> Dataset:
    """Draw reviews at random, as many of each class as its share; None or too many takes all.

    Args:
        dataset: columns `text` and `label` (`ClassLabel`).
        limit: how many.
        seed: which ones.

    Raises:
        DataError: so few cannot hold some of every class.
    """
    if limit is None or limit >= len(dataset):
        return dataset
    try:
        drawn = dataset.train_test_split(train_size=limit, stratify_by_column="label", seed=seed)
    except ValueError as error:  # scikit-learn's, of a class that is too small
        detail = str(error).rstrip(".")
        raise DataError(
            f"--limit {limit} cannot keep reviews of every class ({detail}). Raise the limit, or "
            "leave it out."
        ) from error
    return drawn["train"]


def fingerprint(dataset: Dataset) -> str:
    """Identify reviews by their content: the same on every machine, in every process.

    Args:
        dataset: columns `text` and, unless it is unlabelled, `label`.

    Returns:
        16 hex digits of the SHA-256 over the labels and texts in their order.
    """
    digest = hashlib.sha256()
    names = [name for name in ("text", "label") if name in dataset.column_names]
    # A batch at a time: there may be more texts than memory holds.
    for batch in dataset.select_columns(names).with_format(None).iter(_FINGERPRINT_TEXTS):
        columns: Any = batch
        labels = columns.get("label", [None] * len(columns["text"]))
        for text, label in zip(columns["text"], labels, strict=True):
            hash_text(digest, text, mark=f"{label} ")
    return digest.hexdigest()[:16]


def _choose_groups(
    groups: NDArray[np.int64],
    labels: NDArray[np.int64],
    test_size: float,
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose whole groups for the test part, as many reviews of each class as its share asks.

    Returns:
        (N,) bool, True for the test part.
    """
    classes, class_of = np.unique(labels, return_inverse=True)
    members = np.zeros((groups.max(initial=-1) + 1, len(classes)), dtype=np.int64)
    np.add.at(members, (groups, class_of), 1)
    room = _rounded_shares(np.bincount(class_of, minlength=len(classes)), test_size)
    groups_left = (members > 0).sum(axis=0)  # a class needs a group on the other side, too
    chosen = np.zeros(len(members), dtype=bool)
    for group in random.permutation(len(members)):
        size = members[group]
        if (size <= room).all() and (groups_left[size > 0] > 1).all():
            chosen[group] = True
            room = room - size
            groups_left = groups_left - (size > 0)
    # Where every group of a class is larger than its room, the smallest one goes.
    for number in range(len(classes)):
        holders = np.flatnonzero(members[:, number])
        if len(holders) > 1 and not chosen[holders].any():
            chosen[holders[np.argmin(members[holders].sum(axis=1))]] = True
    return chosen[groups]


def _rounded_shares(sizes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Round the shares of the classes so that they add up, with one review a class at least."""
    exact = sizes * share
    rounded = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(rounded.sum())
    rounded[np.argsort(rounded - exact, kind="stable")[:missing]] += 1
    return np.maximum(rounded, 1)


def _label_name(dataset: Dataset, label: int) -> str:
    feature = dataset.features["label"]
    return feature.int2str(label) if hasattr(feature, "int2str") else str(label)
