"""Texts that are the same, or nearly."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import HashingVectorizer

from sentiment_lstm.data.streams import dataset_texts
from sentiment_lstm.text import without_markup

__all__ = ["near_duplicate_groups", "stand_in"]

_SHINGLE_WORDS = 5
# Nine words in a row. Fewer are idioms: "is one of the year's best films" opens many a review.
_MIN_SHARED = 5
_MAX_HOLDERS = 50
_PAIRS_AT_ONCE = 20_000
_WORD = re.compile(r"\w+")


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


def stand_in(part: Dataset, others: Iterable[Dataset]) -> NDArray[np.bool_]:
    """Tell which texts stand in other data sets, too: their words, case and punctuation aside.

    A hash of each text of the others and a mark for each of the part are all that is in memory.

    Args:
        part: a column `text`, of N rows.
        others: each with a column `text`.

    Returns:
        (N,).

    Raises:
        DataError: a row of the column holds no text.
    """
    known = {_digest(text) for other in others for batch in _batches(other) for text in batch}
    return np.fromiter(
        (_digest(text) in known for batch in _batches(part) for text in batch), dtype=np.bool_
    )


def _batches(part: Dataset) -> Iterator[list[str]]:
    return dataset_texts("The reviews", part, text_column="text")


def _digest(text: str) -> bytes:
    return hashlib.sha256(_words(text).encode()).digest()[:16]


def _words(text: str) -> str:
    words = " ".join(_WORD.findall(without_markup(text.casefold())))
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
