"""How the states of a review become one vector, padding left out."""

from __future__ import annotations

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


def mean_over_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Average the LSTM states over real tokens, so that padding never moves a prediction.

    Args:
        states: (B, N, D * H) float32, one state a token.
        mask: (B, N) bool, True at real tokens.

    Returns:
        (B, D * H) float32.
    """
    weights = mask.unsqueeze(2).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def max_over_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Take each unit's largest state over real tokens (Johnson & Zhang 2016).

    Args:
        states: (B, N, D * H) float32, one state a token.
        mask: (B, N) bool, True at real tokens.

    Returns:
        (B, D * H) float32.
    """
    return states.masked_fill(~mask.unsqueeze(2), torch.finfo(states.dtype).min).amax(1)
