"""Token ids into tensors: a `TensorDataset` of fixed length, or length buckets of whole reviews."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import datasets
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler, TensorDataset

from sentiment_lstm.data import cache_folder

__all__ = [
    "LengthBucketSampler",
    "RaggedIds",
    "collate_ragged",
    "collate_tensors",
    "even_segments",
    "fixed_length_dataset",
    "on_disk",
    "padding_share",
    "segment_bounds",
]

Scalar = TypeVar("Scalar", bound=np.generic)

_WINDOW_BATCHES = 50
_NUMBERS_IN_MEMORY = 1_000_000


def fixed_length_dataset(
    tokenized: datasets.Dataset, *, length_tokens: int, pad_token_id: int
) -> TensorDataset:
    """Pad every review on the right to one length, as the notebook did.

    Args:
        tokenized: columns `input_ids` (at most `length_tokens` long) and `labels`.
        length_tokens: T.
        pad_token_id: what stands behind the last token.

    Returns:
        Tensors `input_ids` (N, T) int64, `attention_mask` (N, T) int64 and `labels` (N,) int64 or
        (N, C) float32.
    """
    input_ids = torch.full((len(tokenized), length_tokens), pad_token_id)
    attention_mask = torch.zeros_like(input_ids)
    for row, ids in enumerate(tokenized["input_ids"]):
        input_ids[row, : len(ids)] = torch.tensor(ids)
        attention_mask[row, : len(ids)] = 1
    return TensorDataset(input_ids, attention_mask, torch.tensor(tokenized["labels"]))


def collate_tensors(rows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> dict[str, Tensor]:
    """Stack rows of :func:`fixed_length_dataset` into the arguments of the model's `forward`."""
    input_ids, attention_mask, labels = (torch.stack(column) for column in zip(*rows, strict=True))
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}


def collate_ragged(rows: Sequence[dict], *, pad_token_id: int = 0) -> dict[str, Tensor]:
    """Pad rows of different length, on the right, to the longest of them.

    Args:
        rows: each with `input_ids` and, for training, `labels`: a class id, or C probabilities.
        pad_token_id: what stands behind the last token.

    Returns:
        `input_ids` (B, T) int64, `attention_mask` (B, T) int64 and, if given, `labels` (B,) int64
        or (B, C) float32.
    """
    ids = [np.asarray(row["input_ids"]) for row in rows]
    lengths = np.array([len(row) for row in ids])
    padded = np.full((len(ids), lengths.max()), pad_token_id, dtype=np.int64)
    for place, row in enumerate(ids):
        padded[place, : len(row)] = row
    input_ids = torch.from_numpy(padded)  # (B, T)
    attention_mask = (torch.arange(input_ids.shape[1]) < torch.from_numpy(lengths)[:, None]).long()
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    if "labels" in rows[0]:
        # As one array first: a list of arrays would be copied number by number.
        labels = torch.from_numpy(np.asarray([row["labels"] for row in rows]))
        batch["labels"] = labels.float() if labels.is_floating_point() else labels
    return batch


class LengthBucketSampler(Sampler[int]):
    """Visit reviews in random order, but so that a batch holds reviews of about one length.

    The order depends on the seed and the epoch alone, so a resumed training sees the same batches.

    Args:
        lengths: (N,) tokens a review.
        batch_size: reviews a batch.
        seed: of the order.
        window_batches: batches that are sorted together. Sorted inside a window only: over the
            whole epoch, every batch would hold the same reviews each time.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        window_batches: int = _WINDOW_BATCHES,
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.window = batch_size * window_batches
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = _numbers(len(self.lengths))
        random.shuffle(order)
        for start in range(0, len(order), self.window):
            window = order[start : start + self.window]
            window[:] = window[np.argsort(self.lengths[window], kind="stable")]
        # Only the last batch may be short: the reader cuts the stream every `batch_size` reviews.
        full = len(order) // self.batch_size
        batches = np.arange(full)
        random.shuffle(batches)
        for batch in [*batches, full]:
            yield from order[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; `accelerate` calls this."""
        self.epoch = epoch


def on_disk(parts: Iterable[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Join arrays in a nameless file, whose pages the system can put out of memory.

    Args:
        parts: one or more, of the same type, and of the same shape but for their first axis.
    """
    rows, first = 0, None
    with tempfile.TemporaryFile(dir=cache_folder()) as file:
        for part in parts:
            first = part if first is None else first
            file.write(part.tobytes())
            rows += len(part)
        if first is None:
            raise ValueError("There is no array to join.")
        if rows == 0:
            return first
        file.flush()
        # What is mapped stays when the file is closed, and goes with the array.
        shape = (rows, *first.shape[1:])
        return np.asarray(np.memmap(file, dtype=first.dtype, shape=shape, mode="r+"))


def _numbers(size: int) -> NDArray[np.int64]:
    """Give 0, 1, ... in memory if they are few, else on disk."""
    starts = range(0, size, _NUMBERS_IN_MEMORY)
    parts = (np.arange(at, min(at + _NUMBERS_IN_MEMORY, size)) for at in starts)
    return np.arange(size) if len(starts) <= 1 else on_disk(parts)


class RaggedIds:
    """The token ids of a tokenized split, read where they lie in its memory-mapped file.

    Args:
        tokenized: from `tokenize_reviews`.

    Attributes:
        lengths: (N,) int64, tokens a review.
    """

    def __init__(self, tokenized: datasets.Dataset) -> None:
        column: Any = tokenized.with_format("arrow")["input_ids"][:]
        self._values, self._starts = [], []
        lengths = []
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            starts = chunk.offsets.to_numpy()
            self._values.append(chunk.values.to_numpy())
            self._starts.append(starts)
            lengths.append(np.diff(starts))
        self._firsts = np.cumsum([0] + [len(part) for part in lengths])
        self.lengths = np.concatenate(lengths or [np.zeros(0)]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        chunk = int(np.searchsorted(self._firsts, row, side="right")) - 1
        place = row - self._firsts[chunk]
        starts = self._starts[chunk]
        return self._values[chunk][starts[place] : starts[place + 1]]

    def counts(self, vocab_size: int) -> NDArray[np.int64]:
        """Count how often each id occurs: (V,) int64."""
        counts = np.zeros(vocab_size, dtype=np.int64)
        for values, starts in zip(self._values, self._starts, strict=True):
            counts += np.bincount(values[starts[0] : starts[-1]], minlength=vocab_size)
        return counts


def even_segments(lengths: Any, segment_length: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Give the fewest segments that fit, and the tokens of each but the last; of one or of many.

    Args:
        lengths: tokens of a text, at least 1, or (N,) of several.
        segment_length: the most tokens of a segment.
    """
    counts = -(-lengths // segment_length)
    return counts, -(-lengths // counts)


def segment_bounds(
    lengths: NDArray[np.int64], segment_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cut texts into segments as the model does: the fewest that fit, of equal length.

    Args:
        lengths: (N,) tokens a text, each at least 1.
        segment_length: the most tokens of a segment.

    Returns:
        For every segment its text, its first token in it, and the one behind its last: (S,) each.
    """
    counts, sizes = even_segments(lengths, segment_length)
    text = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = place * sizes[text]
    return text, start, np.minimum(start + sizes[text], lengths[text])


def padding_share(
    lengths: Callable[[int], int | NDArray[np.int64]],
    order: Sequence[int] | NDArray[np.int64],
    *,
    batch_size: int,
    computed_tokens: Callable[[Tensor], int],
) -> float:
    """Share of the LSTM's steps that fall on padding, from 0 to 1, for reviews in a given order.

    Args:
        lengths: gives the tokens of a review, or of the several (K,) that a batch counts as one.
        order: what it is asked for, as a sampler gives it.
        batch_size: how many of these a batch has.
        computed_tokens: the steps that a batch of such lengths takes, as the model counts them.
    """
    computed = read = 0
    for start in range(0, len(order), batch_size):
        batch = np.hstack([lengths(place) for place in order[start : start + batch_size]])
        computed += computed_tokens(torch.from_numpy(batch).long())
        read += int(batch.sum())
    return 1.0 - read / computed if computed else 0.0
