"""Hashed n-grams of word pieces, each with a weight per class: what an LSTM is slow to learn.

Shapes: B reviews, T tokens, N n-grams of a review over all orders, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        weights, _, _ = self._weigh(input_ids, mask)
        return class_scores(weights.sum(1) + self.bias)

    def token_scores(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Share the weight of every n-gram among the tokens that it consists of.

        An n-gram that stands in a review several times counts once, and is shared among all of
        its places.

        Args:
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            (B, T, C) float32, whose sum over T is what :meth:`forward` gives without the bias.
        """
        weights, first, places = self._weigh(input_ids, mask)
        ngram = first.long().cumsum(1) - 1  # (B, N), which of the distinct n-grams it is
        times = torch.zeros_like(ngram).scatter_add(1, ngram, torch.ones_like(ngram))  # (B, N)
        of_ngram = torch.zeros_like(weights).scatter_add(
            1, ngram.unsqueeze(2).expand_as(weights), weights
        )
        shares = (of_ngram / times.clamp(min=1).unsqueeze(2)).gather(
            1, ngram.unsqueeze(2).expand_as(weights)
        )  # (B, N, 1 or C)
        at_place = torch.zeros_like(shares).scatter(
            1, places.unsqueeze(2).expand_as(shares), shares
        )
        length, scores = input_ids.shape[1], torch.zeros_like(at_place[:, : input_ids.shape[1]])
        for number, order in enumerate(self.orders):
            share = at_place[:, number * length : (number + 1) * length] / order  # (B, T, 1 or C)
            before = functional.pad(share, (0, 0, order - 1, 0))
            for step in range(order):
                scores = scores + before[:, order - 1 - step : order - 1 - step + length]
        return class_scores(scores)

    def _weigh(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look up every n-gram, in the order of the buckets, where equal ones stand together.

        Returns:
            Weights (B, N, 1 or C), 0 where the same n-gram stands before or there is none; whether
            another n-gram begins there (B, N) bool; and where each stood before (B, N) int64.
        """
        buckets, present = hash_ngrams(input_ids, mask, self.orders, self.buckets)
        # 32 bits are enough, and are sorted faster.
        ordered, places = buckets.masked_fill(~present, self.buckets).int().sort(dim=1)  # (B, N)
        first = torch.cat(
            [torch.ones_like(ordered[:, :1], dtype=torch.bool), ordered[:, 1:] != ordered[:, :-1]],
            dim=1,
        )
        counted = first & (ordered < self.buckets)
        weights = functional.embedding(ordered.clamp(max=self.buckets - 1).long(), self.weight)
        return weights * counted.unsqueeze(2), first, places


def class_scores(scores: Tensor) -> Tensor:
    """Spread the log-odds of two classes over both; leave a score a class as it is.

    Args:
        scores: (..., 1) log-odds of the second class, or (..., C).

    Returns:
        (..., C).
    """
    return torch.cat([-scores, scores], dim=-1) / 2 if scores.shape[-1] == 1 else scores


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
    length, ahead = input_ids.shape[1], max(orders) - 1
    # Padded once, so that every step is a plain slice, also of a review shorter than an n-gram.
    padded, padded_mask = functional.pad(input_ids, (0, ahead)), functional.pad(mask, (0, ahead))
    columns, present = [], []
    for order in orders:
        code = torch.full_like(input_ids, order)
        for step in range(order):
            code = (code * _BASE + padded[:, step : step + length] + 1) % _PRIME
        columns.append(code * _SPREAD % _PRIME % buckets)
        # Tokens stand on the left: an n-gram is whole where its last token is one.
        present.append(padded_mask[:, order - 1 : order - 1 + length])
    return torch.cat(columns, dim=1), torch.cat(present, dim=1)
