from __future__ import annotations

import numpy as np

from sentiment_lstm.token_budget import token_budget_batches

LENGTHS = np.random.default_rng(0).integers(3, 900, size=1003)


def test_budget_batches_hold_every_review_once_within_the_budget():
    batches = token_budget_batches(LENGTHS, budget_tokens=4000)
    assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
    assert max(len(batch) * LENGTHS[batch].max() for batch in batches) <= 4000
    assert len(batches) < LENGTHS.sum() / 4000 * 1.25


def test_a_review_longer_than_the_budget_stands_alone():
    batches = token_budget_batches([10, 5000, 10], budget_tokens=100)
    assert [sorted(batch.tolist()) for batch in batches] == [[0, 2], [1]]


def test_no_review_makes_no_batch():
    assert token_budget_batches([], budget_tokens=100) == []
