"""The training loops that `training_speed.py` compares: the library's, and plain PyTorch ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader
from transformers.modeling_outputs import SequenceClassifierOutput

from sentiment_lstm.batches import LengthBucketSampler, collate_ragged, padding_share
from sentiment_lstm.memory import freed_memory_kept
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.recipes.settings import TrainingSettings

__all__ = ["Loop", "PlainModel", "library_loop", "lstm_flops_per_token", "plain_loop"]


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A way to train."""

    run: Callable[[], None]  # one pass over its reviews
    tokens: int  # that a pass trains on, without padding
    padding_share: float  # of the LSTM's steps, from 0 to 1


def library_loop(
    model: SentimentModel, rows: Sequence[dict[str, Any]], settings: TrainingSettings, seed: int
) -> Loop:
    """Train as the library does: length buckets, equal segments, fused AdamW, freed memory kept.

    Args:
        model: untrained, from `build_model`.
        rows: each with `input_ids` and `labels`.
        settings: of the recipe.
        seed: of the order.
    """
    lengths = np.array([len(row["input_ids"]) for row in rows])
    sampler = LengthBucketSampler(lengths, batch_size=settings.batch_size, seed=seed)
    loader = DataLoader(
        list(rows),  # type: ignore[arg-type]
        batch_size=settings.batch_size,
        sampler=sampler,
        collate_fn=partial(collate_ragged, pad_token_id=model.config.pad_token_id or 0),
    )
    # The optimizer that `Trainer` makes by default.
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    epochs = itertools.count()

    def run() -> None:
        sampler.set_epoch(next(epochs))
        with freed_memory_kept():
            _train_once(model, loader, optimizer, max_gradient_norm=settings.max_gradient_norm)

    share = padding_share(
        lengths.item,
        list(sampler),
        batch_size=settings.batch_size,
        computed_tokens=model.computed_tokens,
    )
    return Loop(run=run, tokens=int(lengths.sum()), padding_share=share)


def plain_loop(
    model: PlainModel, rows: Sequence[dict[str, Any]], settings: TrainingSettings, seed: int
) -> Loop:
    """Train as one would without the library: whole reviews in random order, Adam.

    Args:
        model: untrained.
        rows: each with `input_ids` and `labels`.
        settings: batch size and learning rate are the library's.
        seed: of the order.
    """
    loader = DataLoader(
        list(rows),  # type: ignore[arg-type]
        batch_size=settings.batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
        collate_fn=collate_ragged,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    lengths = np.array([len(row["input_ids"]) for row in rows])

    def computed_tokens(batch: Tensor) -> int:
        return int(batch.sum() if model.packed else batch.max() * len(batch))

    share = padding_share(
        lengths.item,
        np.random.default_rng(seed).permutation(len(rows)).tolist(),
        batch_size=settings.batch_size,
        computed_tokens=computed_tokens,
    )
    return Loop(
        run=lambda: _train_once(model, loader, optimizer),
        tokens=int(lengths.sum()),
        padding_share=share,
    )


class PlainModel(nn.Module):
    """What one writes first: the sizes of the library's model, `nn.LSTM` over whole reviews.

    Without packing, the LSTM reads the padding, which costs time and reaches the states of its
    backward direction; the pooling leaves the padding out either way.
    """

    def __init__(self, config: SentimentConfig, *, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.lstm = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            num_layers=config.num_hidden_layers,
            bidirectional=config.bidirectional,
            batch_first=True,
        )
        self.dropout = nn.Dropout(config.classifier_dropout)
        directions = 2 if config.bidirectional else 1
        self.classifier = nn.Linear(2 * directions * config.hidden_size, config.num_labels or 2)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Score a batch: `input_ids` (B, T), `attention_mask` (B, T) and `labels` (B,), int64."""
        states = self.embedding(input_ids)  # (B, T, E)
        if self.packed:
            lengths = attention_mask.sum(1)
            packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
            states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        else:
            states, _ = self.lstm(states)  # (B, T, D * H)
        mask = attention_mask.unsqueeze(2)
        mean = (states * mask).sum(1) / mask.sum(1)  # (B, D * H)
        maximum = states.masked_fill(mask == 0, -torch.inf).amax(1)  # (B, D * H)
        logits = self.classifier(self.dropout(torch.cat([mean, maximum], dim=1)))  # (B, C)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def lstm_flops_per_token(config: SentimentConfig) -> int:
    """Count the useful operations of the LSTM in training, a token, over layers and directions.

    3 · 2 · 4H · (E + H) each: two for a multiplication and an addition, four gates, and a backward
    pass that costs twice the forward one. A higher layer reads the states of all directions.
    """
    hidden_size, directions = config.hidden_size, 2 if config.bidirectional else 1
    inputs = [config.embedding_size] + [directions * hidden_size] * (config.num_hidden_layers - 1)
    return sum(
        directions * 3 * 2 * 4 * hidden_size * (input_size + hidden_size) for input_size in inputs
    )


def _train_once(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    *,
    max_gradient_norm: float = 0.0,
) -> None:
    model.train()
    for batch in loader:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        if max_gradient_norm:
            nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm)
        optimizer.step()
