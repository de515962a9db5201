"""An LSTM over segments of reviews, read from both ends, that padding cannot reach."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDTH_STEP = 8
_ROW_BITS = 4


class SegmentLSTM(nn.Module):
    """An LSTM over segments, in one or both directions, that padding cannot reach.

    The backward direction reads each segment reversed within its own length, so that padding comes
    last for it as well and a causal pass never carries it into a token's state. Packed sequences do
    the same, but slower on a CPU, and they cannot be exported.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (num_layers - 1)
        self.forwards = nn.ModuleList(
            nn.LSTM(size, hidden_size, batch_first=True) for size in sizes
        )
        self.backwards = nn.ModuleList(
            nn.LSTM(size, hidden_size, batch_first=True) for size in sizes if bidirectional
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Compute the state of every token.

        Args:
            embedded: (R, W, E) float32.
            mask: (R, W) bool, True at tokens, which stand on the left.

        Returns:
            (R, W, D * H) float32; what stands at padding has no meaning.
        """
        states = embedded
        for layer, forwards in enumerate(self.forwards):
            if layer > 0:
                states = self.dropout(states)
            outputs = [forwards(states)[0]]
            if self.backwards:
                reversal = reverse_within_length(mask)  # (R, W)
                index = reversal.unsqueeze(2)
                backward_in = states.gather(1, index.expand(-1, -1, states.shape[2]))
                backward = self.backwards[layer](backward_in)[0]
                outputs.append(backward.gather(1, index.expand(-1, -1, backward.shape[2])))
            states = torch.cat(outputs, dim=2)
        return states


def split_evenly(lengths: Tensor, segment_length: int) -> tuple[Tensor, Tensor]:
    """Split each review into the fewest segments that fit, all of them of the same length.

    Equal segments leave at most a token of padding in each, where cutting every 64 tokens leaves
    half a segment at the end of every review; and they depend on the review alone, never on the
    others of its batch.

    Args:
        lengths: (B,) int64, tokens a review, each at least 1.
        segment_length: the most tokens of a segment.

    Returns:
        Positions (B, S, W) int64 into the review, 0 at padding, and a mask (B, S, W) bool.
    """
    counts = (lengths + segment_length - 1) // segment_length  # (B,)
    sizes = (lengths + counts - 1) // counts  # (B,)
    device = lengths.device
    segment = torch.arange(int(counts.max()), device=device)[None, :, None]
    offset = torch.arange(int(sizes.max()), device=device)[None, None, :]
    index = segment * sizes[:, None, None] + offset  # (B, S, W)
    mask = (offset < sizes[:, None, None]) & (index < lengths[:, None, None])
    return index * mask, mask


def pad_to_common_shape(rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Round the shape of a batch of segments up to one of a few that come again and again.

    oneDNN compiles its LSTM anew for every shape it meets, which takes longer than a batch does: in
    batches of ever new shapes the LSTM ran at less than half its speed.

    Args:
        rows: (R, W) int64.
        mask: (R, W) bool, True at tokens.

    Returns:
        Both, padded: W to a multiple of 8, R to a number of four significant bits.
    """
    if torch.compiler.is_compiling():
        return rows, mask
    count, width = rows.shape
    step = 1 << max(count.bit_length() - _ROW_BITS, 0)
    padding = (0, -width % _WIDTH_STEP, 0, -count % step)
    return functional.pad(rows, padding), functional.pad(mask, padding)


def reverse_within_length(mask: Tensor) -> Tensor:
    """Positions that read each row backwards, padding left where it is; its own inverse.

    Args:
        mask: (R, W) bool, True at tokens, which stand on the left.

    Returns:
        (R, W) int64.
    """
    position = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - position, position)
