"""What an encoder is trained on: one window of each review an epoch, drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.batches import LengthBucketSampler
from sentiment_lstm.encoder_settings import MIN_WINDOW_TOKENS
from sentiment_lstm.windows import Frame, plain_ids

__all__ = ["RandomWindows", "WindowRows"]

# A quarter is shortened, so that short texts are known as well.
_SHORT_SHARE = 0.25
_SHORTEST_TOKENS = MIN_WINDOW_TOKENS // 2


class RandomWindows(Sampler[tuple[int, int, int]]):
    """Draw one window of each review an epoch, and visit them in length buckets.

    Three in four are as long as fits; one in four is shorter, from 16 tokens on. The draw depends
    on the seed, the epoch and the row alone, so a resumed training reads the same windows.

    Args:
        lengths: (N,) tokens a review, special ones not counted.
        room_tokens: the most tokens of a window, likewise.
        batch_size: windows a batch.
        seed: of the windows and the order.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        *,
        room_tokens: int,
        batch_size: int,
        seed: int,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.room_tokens = room_tokens
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        starts, sizes = self.draw()
        order = LengthBucketSampler(sizes, batch_size=self.batch_size, seed=self.seed)
        order.set_epoch(self.epoch)
        for row in order:
            yield row, int(starts[row]), int(starts[row] + sizes[row])

    def draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts (N,) and sizes (N,) of this epoch's windows, in tokens."""
        # Another stream than that of the order, which the same seed and epoch begin.
        random = np.random.default_rng((self.seed, self.epoch, 1))
        shortened, size, start = random.random((3, len(self.lengths)))
        fitting = np.minimum(self.lengths, self.room_tokens)
        fewest = np.minimum(fitting, _SHORTEST_TOKENS)
        shorter = fewest + (size * (fitting - fewest + 1)).astype(np.int64)
        sizes = np.where(shortened < _SHORT_SHARE, shorter, fitting)
        return (start * (self.lengths - sizes + 1)).astype(np.int64), sizes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose windows come next; `accelerate` calls this."""
        self.epoch = epoch


class WindowRows(Dataset):
    """Reviews as token ids, of which an index `(row, start, end)` gives a window."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        texts: Sequence[str],
        targets: Sequence[int] | NDArray[np.float32],
        frame: Frame,
    ) -> None:
        self._ids = [np.asarray(ids, dtype=np.int32) for ids in plain_ids(tokenizer, texts)]
        self._targets = targets
        self._frame = frame

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, window: tuple[int, int, int]) -> dict[str, Any]:
        row, start, end = window
        input_ids = self._frame.around(self._ids[row][start:end].tolist())
        return {"input_ids": input_ids, "labels": self._targets[row]}

    def lengths(self) -> NDArray[np.int64]:
        return np.array([len(ids) for ids in self._ids], dtype=np.int64)
