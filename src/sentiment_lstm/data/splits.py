"""Splits that are stratified by label and that no text, nor a near-duplicate of one, crosses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer

from sentiment_lstm.errors import DataError
from sentiment_lstm.text import MARKUP_PATTERN, hash_text

__all__ = [
    "VALIDATION_SEED",
    "draw_reviews",
    "fingerprint",
    "named_split",
    "near_duplicate_groups",
    "split_reviews",
]

# Of the validation split that a training holds out, whatever its own seed: a student then holds out
# the very reviews that its teacher has never seen.
VALIDATION_SEED = 0

_SHINGLE_WORDS = 5
# Nine words in a row. Fewer are idioms: "is one of the year's best films" opens many a review.
_MIN_SHARED = 5
_MAX_HOLDERS = 50
_PAIRS_AT_ONCE = 20_000
_FINGERPRINT_TEXTS = 1_000
_MARKUP = re.compile(MARKUP_PATTERN)
_WORD = re.compile(r"\w+")


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


def near_duplicate_groups(texts: Sequence[str], *, threshold: float = 0.5) -> NDArray[np.int64]:
    """Group texts that are the same, or nearly: posted twice, mended, shortened or continued.

    Words count without case, punctuation and `<br />`. Two texts are near-duplicates if at least
    `threshold` of the shorter one's shingles (five words in a row) stand in the other, and no
    fewer than five of them. Near-duplicates of near-duplicates share the group. Texts of fewer than
    nine words are grouped only with those of the same words.

    The share of the shorter text, and not of both (Jaccard), because reviews are posted again with
    a paragraph more: such pairs of IMDB have a Jaccard index of 0.3 to 0.5, like unrelated ones.
    At 0.5 the pairs are reposts and the boilerplate of one author; below it begin reviews that
    quote the same lines.

    Args:
        texts: N texts.
        threshold: the share of shared shingles from which two texts are near-duplicates.

    Returns:
        (N,) int64 group numbers from 0, in the order in which the groups first occur.

    Source: shingles after Broder 1997, "On the resemblance and containment of documents".
    """
    first_with: dict[str, int] = {}
    words_of = [_words(text) for text in texts]
    same_words = np.array([first_with.setdefault(words, len(first_with)) for words in words_of])
    if not first_with:
        return np.zeros(0, dtype=np.int64)
    shingles = _shingles(list(first_with))
    first, second = _near_pairs(shingles, threshold)
    links = csr_matrix((np.ones(len(first)), (first, second)), shape=(len(first_with),) * 2)
    _, component = connected_components(links, directed=False)
    groups = component[same_words]
    _, first_row, numbers = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first_row))
    return rank[numbers].astype(np.int64)


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


def _words(text: str) -> str:
    words = " ".join(_WORD.findall(_MARKUP.sub(" ", text.casefold())))
    return words or text.strip()  # emoji and punctuation alone still tell texts apart


def _shingles(texts: list[str]) -> csr_matrix:
    """Mark which shingles stand in which text.

    Returns:
        (N, distinct shingles) CSR of ones.
    """
    hashed = HashingVectorizer(
        lowercase=False,
        tokenizer=str.split,
        token_pattern=None,  # pyright: ignore[reportArgumentType]
        ngram_range=(_SHINGLE_WORDS, _SHINGLE_WORDS),
        n_features=2**31 - 1,  # 25,000 reviews have 6 million shingles; few may collide
        norm=None,  # pyright: ignore[reportArgumentType]
        alternate_sign=False,
    )
    marks = csr_matrix(hashed.transform(texts))
    distinct, column = np.unique(marks.indices, return_inverse=True)
    ones = np.ones(len(column), dtype=np.int32)
    return csr_matrix((ones, column, marks.indptr), shape=(len(texts), len(distinct)))


def _near_pairs(
    shingles: csr_matrix, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the pairs of texts that share enough shingles.

    Shingles of more than 50 texts would give too many pairs; each of their holders is compared
    with the next one only, which is enough to link the copies of one text.

    Returns:
        Two (P,) int64 arrays of row numbers.
    """
    columns = shingles.indices.astype(np.int64)
    sizes = np.diff(shingles.indptr)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    holders = np.bincount(columns)[columns]  # of the shingle of each mark
    is_rare = (holders > 1) & (holders <= _MAX_HOLDERS)
    is_frequent = holders > _MAX_HOLDERS
    rare = csr_matrix(
        (shingles.data[is_rare], (rows[is_rare], columns[is_rare])), shape=shingles.shape
    )
    shared = (rare @ rare.T).tocoo()
    # What two texts share is at most what they share of the rare ones, and all frequent ones.
    frequent = np.bincount(rows[is_frequent], minlength=len(sizes))
    least = np.maximum(threshold * np.minimum(sizes[shared.row], sizes[shared.col]), _MIN_SHARED)
    most = shared.data + np.minimum(frequent[shared.row], frequent[shared.col])
    possible = (shared.row < shared.col) & (most >= least)
    next_rows = _next_holders(rows[is_frequent], columns[is_frequent])
    pairs = np.concatenate(
        [np.stack([shared.row[possible], shared.col[possible]], axis=1), next_rows]
    ).astype(np.int64)
    pairs = np.unique(pairs, axis=0)
    near = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        first, second = pairs[start : start + _PAIRS_AT_ONCE].T
        both = np.asarray(shingles[first].multiply(shingles[second]).sum(axis=1)).ravel()
        least = np.maximum(threshold * np.minimum(sizes[first], sizes[second]), _MIN_SHARED)
        near[start : start + _PAIRS_AT_ONCE] = both >= least
    return pairs[near, 0], pairs[near, 1]


def _next_holders(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pair each holder of a shingle with the next holder of it: (P, 2) row numbers."""
    order = np.lexsort((rows, columns))
    rows, columns = rows[order], columns[order]
    same = columns[:-1] == columns[1:]
    return np.stack([rows[:-1][same], rows[1:][same]], axis=1)


def _label_name(dataset: Dataset, label: int) -> str:
    feature = dataset.features["label"]
    return feature.int2str(label) if hasattr(feature, "int2str") else str(label)
