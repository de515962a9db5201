"""How the states of a review become one vector, padding left out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def last_state(states: Tensor, mask: Tensor, *, bidirectional: bool) -> Tensor:
    """The state after the whole review: at its last token, and at its first one going backward.

    Args:
        states: (B, N, D * H) float32.
        mask: (B, N) bool, True at tokens, which stand on the left.
        bidirectional: whether the second half of the states was read backward.

    Returns:
        (B, D * H) float32.
    """
    ends = (mask.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[2])
    last = states.gather(1, ends).squeeze(1)  # (B, D * H)
    if not bidirectional:
        return last
    half = states.shape[2] // 2
    return torch.cat([last[:, :half], states[:, 0, half:]], dim=1)


def sum_and_max(states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the states of each row over its tokens, and take each unit's largest.

    Rows are segments here: of their sums and maxima, :func:`mean_over_segments` and
    :func:`max_over_segments` (Johnson & Zhang 2016, arXiv 1602.02373) make those of the review, and
    nothing as large as the states is ever copied into another order.

    Args:
        states: (R, W, D * H) of any floating-point type, one state a token.
        mask: (R, W) bool, True at tokens.

    Returns:
        Two (R, D * H) float32; a row without a token has a sum of 0 and a maximum of -inf.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        both: Any = _SumAndMax.apply(states, mask)
        return both
    return _sums(states, mask), _barred(states, mask).amax(1).float()


def mean_over_segments(sums: Tensor, lengths: Tensor) -> Tensor:
    """Average the states of a review, so that padding never moves a prediction.

    Args:
        sums: (B, S, D * H) float32, from :func:`sum_and_max`.
        lengths: (B,) int64, tokens a review.

    Returns:
        (B, D * H) float32.
    """
    return sums.sum(1) / lengths.unsqueeze(1)


def max_over_segments(maxima: Tensor) -> Tensor:
    """Take each unit's largest state of a review: (B, S, D * H) -> (B, D * H)."""
    return maxima.amax(1)


class _SumAndMax(torch.autograd.Function):
    """Both at once, because their gradients are: one tensor of the states' size is written.

    Automatic differentiation wrote and read about ten of them, which took as long as the LSTM.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        barred = _barred(states, mask)
        largest = barred.amax(1)  # (R, D * H)
        ctx.save_for_backward(mask, _first_place(barred, largest))
        ctx.dtype = states.dtype
        return _sums(states, mask), largest.float()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        of_sum, of_max = (gradient.to(ctx.dtype) for gradient in gradients)
        mask, where = ctx.saved_tensors
        gradient = of_sum.unsqueeze(1) * mask.unsqueeze(2).to(ctx.dtype)  # (R, W, D * H)
        gradient.scatter_add_(1, where.unsqueeze(1), of_max.unsqueeze(1))
        return gradient, None


def _sums(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(states.dtype).unsqueeze(1)  # (R, 1, W)
    return torch.bmm(weights, states).squeeze(1).float()


def _first_place(states: Tensor, largest: Tensor) -> Tensor:
    """Find where each unit is first at its largest: (R, W, D * H), (R, D * H) -> (R, D * H) int64.

    What `max` gives beside the maxima, in a third of the time, since that goes number by number.
    """
    width = states.shape[1]
    dtype = torch.int16 if width <= torch.iinfo(torch.int16).max else torch.int32  # less to write
    ahead = torch.arange(width, 0, -1, dtype=dtype, device=states.device)  # (W,)
    most = ((states == largest.unsqueeze(1)) * ahead.unsqueeze(1)).amax(1)
    # Where a state is not a number nothing equals the largest; the place is to be one all the same.
    return (width - most.long()).clamp_(max=width - 1)


def _barred(states: Tensor, mask: Tensor) -> Tensor:
    """Put padding below every state. Added, because filling takes three times as long."""
    bar = torch.zeros(mask.shape, dtype=states.dtype, device=states.device)
    return states + bar.masked_fill_(~mask, -torch.inf).unsqueeze(2)
