"""What every pooling, recipe and runtime must pass; used by the test files of each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from sentiment_lstm.model import SentimentConfig, SentimentModel

POOLINGS = [
    {"pooling": "last", "segment_length": None},
    {"pooling": "mean", "segment_length": 16},
    {"pooling": "max", "segment_length": 16},
    {"pooling": "mean_max", "segment_length": 16},
    {"pooling": "mean_max", "segment_length": 16, "num_hidden_layers": 2},
    {"pooling": "mean_max", "segment_length": None, "bidirectional": False},
    {"pooling": "attention", "segment_length": 16, "num_hidden_layers": 2},
]

# For every runtime: of any script, of any length, and last one of many repetitions.
TEXTS = [
    "A wonderful film, beautifully acted.",
    "dreadful",
    "🙂🙂🙂",
    "這部電影很好看",
    "فيلم رائع",
    "not bad at all<br /><br />" * 40,
]

_NOBODY = 65_534


def small_model(**settings: object) -> SentimentModel:
    """A model of few weights with the given settings, ready to predict."""
    torch.manual_seed(1)
    sizes = {"vocab_size": 50, "embedding_size": 6, "hidden_size": 5}
    return SentimentModel(SentimentConfig(**{**sizes, **settings})).eval()


def ragged_batch(*lengths: int, vocab_size: int = 50) -> tuple[torch.Tensor, torch.Tensor]:
    """Random token ids of the given lengths, padded on the right with ids that are no padding."""
    generator = torch.Generator().manual_seed(2)
    input_ids = torch.randint(1, vocab_size, (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return input_ids, mask.long()


def assert_scores_the_same_alone_and_in_a_batch(model: SentimentModel) -> None:
    """A review's logits must not depend on the reviews beside it, nor on what padding holds."""
    lengths = [40, 1, 16, 17, 33]
    input_ids, mask = ragged_batch(*lengths, vocab_size=model.config.vocab_size)
    with torch.no_grad():
        together = model(input_ids, mask).logits
        for row, length in enumerate(lengths):
            alone = model(input_ids[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(together[row], alone, atol=1e-6, rtol=1e-5)


def assert_same_weights(
    ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]
) -> None:
    assert ours.keys() == theirs.keys()
    differing = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert {name: (ours[name] - theirs[name]).abs().max() for name in differing} == {}


@contextlib.contextmanager
def rights(path: Path, mode: int) -> Iterator[None]:
    """Take rights of a file or folder away; root, whom they do not bind, is nobody meanwhile."""
    before = path.stat().st_mode
    path.chmod(mode)
    root = os.geteuid() == 0
    opened = [(parent, parent.stat().st_mode) for parent in path.parents if root]
    for parent, kept in opened:  # pytest's own folders are closed to others
        parent.chmod(kept | 0o011)
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for parent, kept in opened:
            parent.chmod(kept)
        path.chmod(before)
