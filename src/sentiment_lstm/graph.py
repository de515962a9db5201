"""The classifier in the words of ONNX: the same weights, one native LSTM node a layer, and masks.

PyTorch's LSTM knows no lengths but those of packed sequences, whose export is broken; the node of
ONNX takes them as an input, and reads the backward direction from each segment's own end. So the
graph needs neither the reversals nor the compressed batches of `SentimentModel`, and every shape
in it follows from that of `input_ids` alone.

Shapes: B reviews, T tokens, S segments of a review, W tokens of a segment, R = B * S, D directions,
E embedding, H hidden, C classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sentiment_lstm.model import SentimentModel
from sentiment_lstm.model.pooling import last_state

__all__ = ["OPSET", "OnnxGraph"]

OPSET = 18


class OnnxGraph(nn.Module):
    """A `SentimentModel` as it is exported: `input_ids`, `attention_mask` -> `logits`, scores.

    Source: the operator LSTM of ONNX, https://onnx.ai/onnx/operators/onnx__LSTM.html
    """

    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        self.model = model.eval()
        encoder = model.encoder
        for layer, forwards in enumerate(encoder.forwards):
            directions = [forwards]
            if model.config.bidirectional:
                directions.append(encoder.backwards[layer])
            for name, weights in _onnx_weights(directions).items():
                self.register_buffer(f"{name}{layer}", weights)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """Score a batch of tokenized reviews.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T) int64, 1 at tokens, which stand on the left.

        Returns:
            `logits` (B, C) float32 and, where the model is additive, `token_scores` (B, T, C).
        """
        model, config = self.model, self.model.config
        given = input_ids.shape[1]
        mask = attention_mask != 0
        if config.fixed_length is not None:
            missing = (0, config.fixed_length)
            input_ids = functional.pad(input_ids, missing)[:, : config.fixed_length]
            mask = functional.pad(mask, missing)[:, : config.fixed_length]
        if not config.mask_padding:
            input_ids = torch.where(mask, input_ids, config.pad_token_id or 0)
            mask = torch.ones_like(mask)
        states, inside = self._read(input_ids, mask)  # (W, D, B, S, H), (W, B, S)
        lengths = mask.sum(1).clamp(min=1)
        if config.pooling in ("mean", "max", "mean_max"):
            pooled = self._pool(states, inside, lengths)
        else:
            grid, grid_mask = _in_reading_order(states, inside)
            if config.pooling == "last":
                pooled = last_state(grid, grid_mask, bidirectional=config.bidirectional)
            else:
                pooled = torch.einsum("bn,bnh->bh", model.attend(grid, grid_mask), grid)
        logits = model.score(pooled, input_ids, mask)
        if not model.additive:
            return (logits,)
        grid, grid_mask = _in_reading_order(states, inside)
        _, scores = model.score_tokens(grid, grid_mask, input_ids, mask)
        return logits, scores[:, :given]

    def _read(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Read the reviews with the LSTM: states (W, D, B, S, H), and where tokens are (W, B, S).

        Segments are those of `split_evenly`. Time comes first, as the node of ONNX has it.
        """
        config = self.model.config
        reviews, length = input_ids.shape
        width = config.segment_length or length
        lengths = mask.sum(1).clamp(min=1)  # (B,)
        counts = (lengths + width - 1) // width
        sizes = (lengths + counts - 1) // counts
        # Written out for one pass: the exporter takes (2T - 1) // T for a reason to freeze T.
        segments = (length + width - 1) // width if config.segment_length else 1
        starts = torch.arange(segments)[None, :] * sizes[:, None]  # (B, S)
        row_lengths = (lengths[:, None] - starts).clamp(min=0).minimum(sizes[:, None])  # (B, S)
        offsets = torch.arange(width)[:, None, None]
        inside = offsets < row_lengths  # (W, B, S)
        index = torch.where(inside, starts + offsets, 0)
        index = index.permute(1, 0, 2).flatten(1)  # (B, W * S)
        rows = input_ids.gather(1, index).view(reviews, width, segments)  # (B, W, S)
        states = self.model.embedding(rows.permute(1, 0, 2).flatten(1))  # (W, R, E)
        # A segment without text is read for one step, since the node asks for one at least.
        steps = row_lengths.flatten().clamp(min=1).int()  # (R,)
        directions = 2 if config.bidirectional else 1
        shape = (width, directions, reviews * segments, config.hidden_size)
        for layer in range(config.num_hidden_layers):
            if layer:
                states = states.permute(0, 2, 1, 3).flatten(2)  # (W, R, D * H)
            states = torch.onnx.ops.symbolic(
                "LSTM",
                (states, *(getattr(self, f"{name}{layer}") for name in ("w", "r", "b")), steps),
                attrs={
                    "hidden_size": config.hidden_size,
                    "direction": "bidirectional" if directions == 2 else "forward",
                },
                dtype=torch.float32,
                shape=shape,
                version=OPSET,
            )
        return states.unflatten(2, (reviews, segments)), inside  # (W, D, B, S, H), (W, B, S)

    def _pool(self, states: Tensor, inside: Tensor, lengths: Tensor) -> Tensor:
        """Do what `SentimentModel.pool` does, on states (W, D, B, S, H)."""
        parts = []
        outside = ~inside[:, None, :, :, None]  # (W, 1, B, S, 1)
        if self.model.config.pooling != "max":
            # Behind the end of a segment the node of ONNX leaves zeros; a segment without text was
            # read for a step all the same.
            sums = states.sum(0) * inside[0, :, :, None]  # (D, B, S, H)
            parts.append(sums.sum(2) / lengths[:, None])
        if self.model.config.pooling != "mean":
            bar = torch.zeros(outside.shape).masked_fill(outside, -torch.inf)
            parts.append(_maximum(states + bar, self.model.config.segment_length).amax(2))
        rows = [part.permute(1, 0, 2).flatten(1) for part in parts]  # (B, D * H) each
        return torch.cat(rows, dim=1)


def _maximum(states: Tensor, steps: int | None) -> Tensor:
    """Take the maximum over the first axis.

    Of its slices, all given to one node: the reduction of ONNX Runtime goes number by number, and
    took twice as long.
    """
    if steps is None or steps == 1:
        return states.amax(0)
    return torch.onnx.ops.symbolic(
        "Max",
        states.split(1),
        dtype=states.dtype,
        shape=(1, *states.shape[1:]),
        version=OPSET,
    ).squeeze(0)


def _in_reading_order(states: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Give states (B, S * W, D * H) and their mask (B, S * W) of (W, D, B, S, H) and (W, B, S)."""
    grid = states.permute(2, 3, 0, 1, 4).flatten(3).flatten(1, 2)  # (B, S * W, D * H)
    return grid, inside.permute(1, 2, 0).flatten(1)  # the mask: (B, S * W)


def _onnx_weights(directions: list[Any]) -> dict[str, Tensor]:
    """Give the weights of one layer, (D, 4H, E), (D, 4H, H) and (D, 8H), in the order of ONNX."""
    found = {"w": [], "r": [], "b": []}
    for lstm in directions:
        found["w"].append(_reordered(lstm.weight_ih_l0))
        found["r"].append(_reordered(lstm.weight_hh_l0))
        found["b"].append(torch.cat([_reordered(lstm.bias_ih_l0), _reordered(lstm.bias_hh_l0)]))
    return {name: torch.stack(weights).detach() for name, weights in found.items()}


def _reordered(weights: Tensor) -> Tensor:
    """Put the gates into the order of ONNX: input, output, forget, cell."""
    entry, forget, cell, output = weights.chunk(4)
    return torch.cat([entry, output, forget, cell])
