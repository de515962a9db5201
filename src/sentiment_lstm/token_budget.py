"""Texts of about one length into batches that are as large as a budget of tokens allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["token_budget_batches"]


def token_budget_batches(
    lengths: Sequence[int] | NDArray[np.int64], *, budget_tokens: int
) -> list[NDArray[np.int64]]:
    """Cut reviews, sorted by length, into batches whose padded size stays within a budget.

    Args:
        lengths: (N,) tokens a review.
        budget_tokens: the most tokens of a batch, padding included; a longer review stands alone.

    Returns:
        Positions into `lengths`, batch by batch, every review once.
    """
    lengths = np.asarray(lengths)
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or (end + 1 - start) * lengths[order[end]] > budget_tokens
        if full:
            batches.append(order[start:end])
            start = end
    return batches
