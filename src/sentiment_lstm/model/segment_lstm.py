"""An LSTM over segments of reviews, read from both ends, that padding cannot reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .side_by_side import side_by_side

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
        # Set for a training on a processor that multiplies it faster; no property of the weights.
        self.low_precision = False

    def forward(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Compute the state of every token.

        Args:
            embedded: (R, W, E) float32.
            mask: (R, W) bool, True at tokens, which stand on the left.

        Returns:
            (R, W, D * H) float32; what stands at padding has no meaning.
        """
        states = [states for (states,) in self.directions(embedded, mask)]
        return _as_read(0, states, reverse_within_length(mask))

    def directions(
        self,
        embedded: Tensor,
        mask: Tensor,
        *,
        then: Callable[..., tuple[Tensor, ...]] | None = None,
        also: Sequence[Tensor] = (),
        parameters: Sequence[Tensor] = (),
    ) -> list[tuple[Tensor, ...]]:
        """Read in both directions at the same time, and do with the states what is asked.

        What does not depend on the order, such as their mean and maximum, spares putting the
        backward ones into that of the text.

        Args:
            embedded: (R, W, E) float32.
            mask: (R, W) bool, True at tokens, which stand on the left.
            then: called with the number of the direction, its states and `also`; draws no random
                numbers. None gives the states back.
            also: more tensors that it reads.
            parameters: of the modules that it uses.

        Returns:
            What `then` makes of each direction, or its states. They are (R, W, H), in the order in
            which the direction reads; in bfloat16 where `self.low_precision` is set and the model
            is in training, else float32.
        """
        reversal = reverse_within_length(mask)  # (R, W)
        below = [embedded]
        for forwards, backwards in zip(self.forwards[:-1], self._backwards(), strict=False):
            read = side_by_side(
                self._tasks(forwards, backwards, reversal, below=len(below)),
                below,
                _parameters(forwards, backwards),
            )
            below = [self.dropout(states) for (states,) in read]
        forwards, backwards = self.forwards[-1], self._backwards()[-1]
        return side_by_side(
            self._tasks(forwards, backwards, reversal, then, below=len(below)),
            [*below, *also],
            [*_parameters(forwards, backwards), *parameters],
        )

    def causal(self) -> SegmentLSTM:
        """Give what has read, at each token, no further than that token in its own direction.

        That is all of it in one direction. In two it is the first layer, weights shared: every
        other one reads the states of both, which together know the whole segment.
        """
        if len(self.forwards) == 1 or not len(self.backwards):
            return self
        first: Any = self.forwards[0]
        with torch.device("meta"):  # for the shared weights to take the place of its own
            lowest = SegmentLSTM(
                first.input_size,
                first.hidden_size,
                num_layers=1,
                bidirectional=True,
                dropout=0.0,
            )
        lowest.forwards, lowest.backwards = self.forwards[:1], self.backwards[:1]
        lowest.low_precision = self.low_precision
        return lowest

    def _backwards(self) -> list[nn.Module | None]:
        return list(self.backwards) or [None] * len(self.forwards)

    def _tasks(
        self,
        forwards: nn.Module,
        backwards: nn.Module | None,
        reversal: Tensor,
        then: Callable[..., tuple[Tensor, ...]] | None = None,
        *,
        below: int,
    ) -> list[Callable[..., tuple[Tensor, ...]]]:
        """What each direction of a layer does with the first `below` tensors that it is given."""
        low = self.low_precision and self.training

        def read(direction: int, *given: Tensor) -> tuple[Tensor, ...]:
            states = _as_read(direction, given[:below], reversal)
            lstm = forwards if direction == 0 else backwards
            assert lstm is not None
            with torch.autocast(states.device.type, dtype=torch.bfloat16, enabled=low):
                states = lstm(states)[0]
            return (states,) if then is None else then(direction, states, *given[below:])

        return [partial(read, number) for number in range(1 if backwards is None else 2)]


def _parameters(*modules: nn.Module | None) -> list[Tensor]:
    return [value for module in modules if module is not None for value in module.parameters()]


class Segments(NamedTuple):
    """The reviews of a batch, cut into the rows that the LSTM reads side by side."""

    rows: Tensor  # (R, W) int64 token ids, some rows and columns of padding at the end
    rows_mask: Tensor  # (R, W) bool, True at tokens
    full: Tensor  # (R',) int64, where in the flattened (B, S) each row that holds text belongs
    mask: Tensor  # (B, S, W') bool, True at tokens, without the padding of the rows

    @property
    def reviews(self) -> Tensor:
        """The review of the batch that each row with text belongs to: (R',) int64."""
        return self.full // self.mask.shape[1]

    def spread(self, values: Tensor, *, empty: float = 0.0) -> Tensor:
        """Give each row back to its review: (R, ...) -> (B, S, ...), `empty` where no text is."""
        reviews, segments = self.mask.shape[:2]
        grid = values.new_full((reviews * segments, *values.shape[1:]), empty)
        return grid.index_copy(0, self.full, values[: len(self.full)]).unflatten(
            0, (reviews, segments)
        )


def split_into_segments(input_ids: Tensor, mask: Tensor, *, segment_length: int) -> Segments:
    """Cut the reviews of a batch into equal segments, one row each.

    Args:
        input_ids: (B, T) int64.
        mask: (B, T) bool, True at tokens, which stand on the left.
        segment_length: the most tokens of a segment.
    """
    index, mask = split_evenly(mask.sum(1), segment_length)
    width = index.shape[2]  # index and mask: (B, S, W)
    rows = input_ids.gather(1, index.flatten(1)).view(-1, width)  # (B * S, W)
    row_mask = mask.view(-1, width)  # (B * S, W)
    # Shorter reviews of the batch leave empty segments behind; nothing is computed for them.
    full = row_mask.any(1).nonzero().squeeze(1)  # (R,)
    rows, full_mask = pad_to_common_shape(rows[full], row_mask[full])
    return Segments(rows, full_mask, full, mask)


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


def _as_read(direction: int, below: Sequence[Tensor], reversal: Tensor) -> Tensor:
    """Put what stands below a layer into the order in which one of its directions reads.

    Args:
        direction: 0 reads forward, 1 backward.
        below: embedded tokens (R, W, E), or the states of each direction (R, W, H), in the order in
            which it has read.
        reversal: (R, W) int64, from :func:`reverse_within_length`.

    Returns:
        (R, W, E), or (R, W, D * H), the states of the directions side by side.
    """
    ordered = [
        states if direction == order else _reordered(states, reversal)
        for order, states in enumerate(below)
    ]
    return ordered[0] if len(ordered) == 1 else torch.cat(ordered, dim=2)


def _reordered(states: Tensor, index: Tensor) -> Tensor:
    """Put the states of each row into another order.

    Whole vectors are copied, several times as fast as `gather`, which copies number by number.

    Args:
        states: (R, W, E).
        index: (R, W) int64, from :func:`reverse_within_length`.

    Returns:
        (R, W, E).
    """
    rows = torch.arange(len(index), device=index.device).unsqueeze(1) * index.shape[1]
    if not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return states.flatten(0, 1)[(rows + index).flatten()].view(*index.shape, -1)
    return _Reorder.apply(states, (rows + index).flatten())  # type: ignore[return-value]


class _Reorder(torch.autograd.Function):
    """A reordering that is its own inverse, so that its gradient is reordered, not summed up."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, index: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(index)
        return states.flatten(0, 1).index_select(0, index).view(states.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (gradient,) = gradients
        (index,) = ctx.saved_tensors
        return gradient.flatten(0, 1).index_select(0, index).view(gradient.shape), None


def reverse_within_length(mask: Tensor) -> Tensor:
    """Positions that read each row backwards, padding left where it is; its own inverse.

    Args:
        mask: (R, W) bool, True at tokens, which stand on the left.

    Returns:
        (R, W) int64.
    """
    position = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - position, position)
