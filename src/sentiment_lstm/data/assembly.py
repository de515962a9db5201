"""Rows of some splits -> `DatasetDict(text, label)` with the same classes in every split."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from sentiment_lstm.data.rows import TEST, TRAIN, UNLABELLED, UNSUPERVISED, VALIDATION, Rows
from sentiment_lstm.data.splits import split_reviews
from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.ordinal import in_order
from sentiment_lstm.text import is_blank

__all__ = ["assemble"]

logger = logging.getLogger(__name__)

_LABELLED = (TRAIN, VALIDATION, TEST)


def assemble(place: str, rows: Mapping[str, Rows], *, test_size: float, seed: int) -> DatasetDict:
    """Give rows their classes, check them across splits, and make the test split if there is none.

    Args:
        place: the source, for messages.
        rows: the rows by split.
        test_size: the share of the test split, where it has to be made.
        seed: which of the possible test splits.

    Returns:
        `train` and `test`, and `validation` and `unsupervised` where the source has them.

    Raises:
        DataError: there are no reviews, no train split or a single class, or the labels differ
            between splits.
    """
    rows = _labelled_and_not(place, rows)
    classes = _classes(place, {split: rows[split] for split in _LABELLED if split in rows})
    names = _names(classes, declared=rows[TRAIN].names is not None)
    numbers = {label: number for number, label in enumerate(classes)}
    dataset = DatasetDict()
    for split, part in rows.items():
        labels = [UNLABELLED if label is None else numbers[label] for label in part.labels]
        dataset[split] = Dataset.from_dict(
            {"text": part.texts, "label": labels},
            features=Features({"text": Value("string"), "label": ClassLabel(names=names)}),
        )
        blank = sum(map(is_blank, part.texts))
        if blank:
            logger.warning("%s: %d texts of the split %r are empty.", place, blank, split)
    if TEST not in dataset:
        logger.info("%s has no test split: %.0f %% of train become it", place, 100 * test_size)
        try:
            dataset[TRAIN], dataset[TEST] = split_reviews(
                dataset[TRAIN], test_size=test_size, seed=seed
            )
        except DataError as error:
            raise DataError(f"{place}: {error}") from error
    order = (TRAIN, VALIDATION, TEST, UNSUPERVISED)
    return DatasetDict({split: dataset[split] for split in order if split in dataset})


def _labelled_and_not(place: str, rows: Mapping[str, Rows]) -> dict[str, Rows]:
    """Keep the known splits; whatever bears no label at all, or -1 throughout, is unsupervised."""
    sorted_out: dict[str, Rows] = {}
    unlabelled = Rows([], [])
    for split, part in rows.items():
        if split not in (*_LABELLED, UNSUPERVISED):
            logger.warning("%s: the split %r is left out; its name is unknown.", place, split)
        elif split == UNSUPERVISED or (part.labels and set(part.labels) == {str(UNLABELLED)}):
            unlabelled += Rows(part.texts, [None] * len(part.texts))
        else:
            sorted_out[split] = part
    if not any(part.texts for part in [*sorted_out.values(), unlabelled]):
        raise DataError(f"{place}: it holds no reviews. Give a source with at least one per class.")
    if TRAIN not in sorted_out:
        found = ", ".join(map(repr, rows))
        raise DataError(
            f"{place}: there is no labelled train split; the splits are: {found}. Add one, or give "
            "all reviews without splits, and a test split is made from them."
        )
    for split, part in sorted_out.items():
        if not part.texts:
            raise DataError(
                f"{place}: the split {split!r} holds no reviews. Fill it, or remove it."
            )
    if unlabelled.texts:
        sorted_out[UNSUPERVISED] = unlabelled
    return sorted_out


def _classes(place: str, rows: Mapping[str, Rows]) -> tuple[str, ...]:
    """Find the labels of a source in the order of their classes, the same in every split."""
    train = rows[TRAIN]
    used = in_order(label for label in train.labels if label is not None)
    for split, part in rows.items():
        if part.names != train.names:
            raise DataError(
                f"{place}: the labels of the split {split!r} are declared as {part.names}, those "
                f"of {TRAIN!r} as {train.names}. Declare the same names in the same order."
            )
        allowed = [label for label in used if label in (train.names or used)]
        known = set(allowed)
        for row, label in enumerate(part.labels, start=1):
            if label not in known:
                raise DataError(
                    f"{place}: review {row} of the split {split!r} is labelled {label!r}; the "
                    f"labels of {TRAIN!r} are {', '.join(map(repr, allowed))}."
                    f"{nearest(str(label), allowed)} Correct the label, or add such reviews to "
                    f"{TRAIN!r}."
                )
        if missing := [label for label in used if label not in set(part.labels)]:
            logger.warning("%s: the split %r has no review of %s.", place, split, missing)
    if len(used) < 2:
        raise DataError(
            f"{place}: all {len(train.texts)} reviews of {TRAIN!r} are labelled "
            f"{train.labels[0]!r}. A classifier needs two classes or more: add reviews of "
            "another class."
        )
    return train.names or used


def _names(classes: tuple[str, ...], *, declared: bool) -> list[str]:
    """Name the classes as they are labelled, but for IMDB's two, which every source names alike.

    The rule: exactly the classes 0 and 1, or `ClassLabel(names=["neg", "pos"])` as the hub has
    it, are `negative` and `positive`.
    """
    if classes == ("0", "1") or (declared and classes == ("neg", "pos")):
        return ["negative", "positive"]
    return list(classes)
