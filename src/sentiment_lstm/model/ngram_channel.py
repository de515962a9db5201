"""Hashed n-grams of word pieces, each with a weight per class: what an LSTM is slow to learn.

Shapes: B reviews, T tokens, N n-grams of a review over all orders, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# A polynomial hash modulo the Mersenne prime 2^31 - 1: every product stays below 2^62, so that any
# runtime with 64-bit integers gives the same buckets, without overflow or bit shifts.
_PRIME = 2**31 - 1
_BASE = 1_000_003
_SPREAD = 1_540_483_477


class NgramChannel(nn.Module):
    """Sum the weights of the n-grams that stand in a review, each n-gram once.

    A linear classifier over n-grams (Wang & Manning 2012, "Baselines and Bigrams") in a table small
    enough to travel with the LSTM. The table is fitted by a linear solver, on its own: no gradient
    reaches it. Two classes share one column, the log-odds of the second.
    """

    def __init__(self, buckets: int, orders: list[int], num_labels: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.orders = orders
        self.num_labels = num_labels
        columns = 1 if num_labels == 2 else num_labels
        self.weight = nn.Parameter(torch.zeros(buckets, columns), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(columns), requires_grad=False)

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Score a batch of tokenized reviews.

        Args:
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            (B, C) float32.
        """
        buckets, present = hash_ngrams(input_ids, mask, self.orders, self.buckets)
        ordered, _ = buckets.masked_fill(~present, self.buckets).sort(dim=1)  # (B, N)
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        counted = first & (ordered < self.buckets)
        weights = self.weight[ordered.clamp(max=self.buckets - 1)]  # (B, N, 1 or C)
        return class_scores((weights * counted.unsqueeze(2)).sum(1) + self.bias)


def class_scores(scores: Tensor) -> Tensor:
    """Spread the log-odds of two classes over both; leave a score a class as it is.

    Args:
        scores: (B, 1) log-odds of the second class, or (B, C).

    Returns:
        (B, C).
    """
    return torch.cat([-scores, scores], dim=1) / 2 if scores.shape[1] == 1 else scores


def hash_ngrams(
    input_ids: Tensor, mask: Tensor, orders: list[int], buckets: int
) -> tuple[Tensor, Tensor]:
    """Give the bucket of every n-gram of every order.

    Args:
        input_ids: (B, T) int64.
        mask: (B, T) bool, True at tokens, which stand on the left.
        orders: lengths of the n-grams, in word pieces.
        buckets: rows of the table.

    Returns:
        Buckets (B, N) int64 and whether an n-gram stands there (B, N) bool; N is T an order.
    """
    columns, present = [], []
    for order in orders:
        code = torch.full_like(input_ids, order)
        whole = mask
        for step in range(order):
            # Rolled round the end of the row: such an n-gram is not whole, and is masked.
            code = (code * _BASE + input_ids.roll(-step, 1) + 1) % _PRIME
            if step:
                ahead = mask.roll(-step, 1)
                ahead[:, -step:] = False
                whole = whole & ahead
        columns.append(code * _SPREAD % _PRIME % buckets)
        present.append(whole)
    return torch.cat(columns, dim=1), torch.cat(present, dim=1)
