"""What is read of the texts in an epoch of training, and which ones count as one in a batch.

::

    a long review            some of its segments, others in every epoch
    sentences and clauses    several in the place of one review
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sentiment_lstm.batches import even_segments

__all__ = ["SegmentSample", "SentenceGroups"]

Row = dict[str, Any]


class SegmentSample(Dataset):
    """Rows whose long texts are read in part: some of their segments, drawn anew at every look.

    A long review says what it says several times over, and each of its segments is read by itself,
    so a training that leaves some of them out reads more reviews in the same time. Which ones is
    drawn from PyTorch's random numbers, as dropout is.

    Args:
        rows: column `input_ids`; `__getitems__` gives several of them.
        lengths: (N,) int64, tokens a text, each at least 1.
        segments: the most that are read of a text.
        segment_length: the most tokens of a segment.

    Attributes:
        lengths: (N,) int64, the most tokens that are read of each text.
    """

    def __init__(
        self,
        rows: Any,  # noqa: ANN401 - a data set of `datasets`, or one of PyTorch
        lengths: NDArray[np.int64],
        *,
        segments: int,
        segment_length: int,
    ) -> None:
        self._rows = rows
        self._segments, self._segment_length = segments, segment_length
        _, sizes = even_segments(lengths, segment_length)
        self.lengths = np.minimum(lengths, segments * sizes)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Row:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[Row]:
        """Give several rows, as PyTorch asks for those of a batch."""
        found = self._rows.__getitems__(rows)
        return [{**row, "input_ids": self._sample(row["input_ids"])} for row in found]

    def _sample(self, ids: Any) -> Any:  # noqa: ANN401 - a list or an array
        count, size = even_segments(len(ids), self._segment_length)
        if count <= self._segments:
            return ids
        drawn = torch.randperm(count)[: self._segments].sort().values.tolist()
        return np.concatenate([ids[place * size : (place + 1) * size] for place in drawn])


class SentenceGroups(Dataset):
    """Rows of which the last ones, short ones, stand together where a batch counts one.

    The LSTM takes as many steps for 128 sentences as for 32, and its products of matrices are
    larger then: a batch of several times as many is read in little more time. Texts that a user
    has labelled stay single, however short: they alone decide how many steps a training has.

    Args:
        rows: `__getitems__` gives several of them.
        lengths: (N,) int64, tokens a text.
        reviews: how many of the rows, the first ones, stand alone.
        size: how many of the others stand together, all of about the same length.
        seed: of which ones stand together.

    Attributes:
        lengths: (G,) int64, tokens of the longest text of each group.
    """

    def __init__(
        self,
        rows: Any,  # noqa: ANN401 - a data set of `datasets`, or one of PyTorch
        lengths: NDArray[np.int64],
        *,
        reviews: int,
        size: int,
        seed: int,
    ) -> None:
        self._rows, self._row_lengths = rows, lengths
        others = np.random.default_rng(seed).permutation(np.arange(reviews, len(lengths)))
        others = others[np.argsort(lengths[others], kind="stable")]
        self._members = np.concatenate([np.arange(reviews), others])
        starts = [np.arange(reviews), np.arange(reviews, len(lengths) + size, size)]
        self._starts = np.concatenate(starts).clip(max=len(lengths))
        self.lengths = np.maximum.reduceat(lengths[self._members], self._starts[:-1])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def members(self, group: int) -> NDArray[np.int64]:
        """Give the rows that stand together."""
        return self._members[self._starts[group] : self._starts[group + 1]]

    def member_lengths(self, group: int) -> NDArray[np.int64]:
        """Give their tokens: (K,)."""
        return self._row_lengths[self.members(group)]

    def __getitem__(self, group: int) -> list[Row]:
        return self.__getitems__([group])

    def __getitems__(self, groups: list[int]) -> list[Row]:
        """Give the rows of several groups, in one list, as PyTorch asks for those of a batch."""
        members = [self.members(group) for group in groups]
        return self._rows.__getitems__(np.concatenate(members).tolist())
