"""What each token adds to the logits: the pooling read backwards, exact and at no second pass.

Shapes: B reviews, N tokens of a review, F features of a state, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mean_token_scores(states: Tensor, shares: Tensor, weight: Tensor) -> Tensor:
    """Score the tokens under a mean, plain or weighted, the shares taken as they are.

    Args:
        states: (B, N, F) float32, one state a token.
        shares: (B, N) float32, which sum to 1 over the tokens and are 0 elsewhere.
        weight: (C, F) float32, of the classifier.

    Returns:
        (B, N, C) float32, whose sum over N is the mean's part of the logits, but for the bias.
    """
    return (states @ weight.T) * shares.unsqueeze(2)


def max_token_scores(states: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Score the tokens under a maximum: each feature goes to the token that won it.

    Args:
        states: (B, N, F) float32, one state a token.
        mask: (B, N) bool, True at tokens.
        weight: (C, F) float32, of the classifier.

    Returns:
        (B, N, C) float32, whose sum over N is the maximum's part of the logits, but for the bias.
    """
    barred = states.masked_fill(~mask.unsqueeze(2), torch.finfo(states.dtype).min)
    winner = barred.argmax(1)  # (B, F)
    largest = barred.gather(1, winner.unsqueeze(1)).squeeze(1)  # (B, F)
    won = largest.unsqueeze(2) * weight.T  # (B, F, C)
    scores = torch.zeros(
        (*mask.shape, weight.shape[0]), dtype=states.dtype, device=states.device
    )  # (B, N, C)
    return scores.scatter_add(1, winner.unsqueeze(2).expand(won.shape), won)


def in_reading_order(scores: Tensor, mask: Tensor, length: int) -> Tensor:
    """Put the scores of the segments' tokens side by side, as they stand in the review.

    Args:
        scores: (B, N, C), 0 where no token is.
        mask: (B, N) bool, True at tokens, in reading order, with padding between segments.
        length: T, at least the tokens of the longest review.

    Returns:
        (B, T, C).
    """
    place = (mask.long().cumsum(1) - 1).clamp(min=0).unsqueeze(2).expand_as(scores)
    empty = torch.zeros_like(scores[:, :1]).expand(-1, length, -1)
    return empty.scatter_add(1, place, scores)
