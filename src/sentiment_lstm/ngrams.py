"""Fit the table of the n-gram channel: tokenized reviews in, a weight per bucket and class out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from sentiment_lstm.batches import RaggedIds, collate_ragged
from sentiment_lstm.model.ngram_channel import NgramChannel, hash_ngrams
from sentiment_lstm.token_budget import token_budget_batches

__all__ = ["fit_ngram_channel", "fit_ngram_table", "ngram_logits", "ngram_presence"]

TokenizedTexts = Sequence[Sequence[int]] | RaggedIds

_BATCH_TOKENS = 65_536
# An n-gram that stands in one review only says something about that review alone.
_MIN_REVIEWS = 2
_SMOOTHING = 1.0
_STRENGTH = 1.0  # the inverse of the regularization


def fit_ngram_channel(
    channel: NgramChannel, input_ids: TokenizedTexts, labels: NDArray[np.generic]
) -> None:
    """Fit the channel's table to tokenized reviews and put it in place.

    Args:
        channel: of the model.
        input_ids: N tokenized reviews.
        labels: (N,) class ids, or (N, C) the probability of each class.
    """
    presence = ngram_presence(input_ids, orders=channel.orders, buckets=channel.buckets)
    weight, bias = fit_ngram_table(presence, labels, num_labels=channel.num_labels)
    channel.weight.data.copy_(torch.from_numpy(weight))
    channel.bias.data.copy_(torch.from_numpy(bias))


def ngram_logits(channel: NgramChannel, input_ids: TokenizedTexts) -> NDArray[np.float64]:
    """Score tokenized reviews by the channel alone: (N, C) float64."""
    logits = np.zeros((len(input_ids), channel.num_labels))
    lengths = [len(ids) for ids in input_ids]
    for batch in token_budget_batches(lengths, budget_tokens=_BATCH_TOKENS):
        tensors = collate_ragged([{"input_ids": input_ids[row]} for row in batch])
        with torch.inference_mode():
            scores = channel(tensors["input_ids"], tensors["attention_mask"].bool())
        logits[batch] = scores.numpy()
    return logits


def ngram_presence(input_ids: TokenizedTexts, *, orders: list[int], buckets: int) -> csr_matrix:
    """Mark which n-grams stand in which review, by the hash that the model itself uses.

    Returns:
        (N, buckets) float32 of zeros and ones.
    """
    lengths = np.array([len(ids) for ids in input_ids])
    rows, columns = [], []
    for batch in token_budget_batches(lengths, budget_tokens=_BATCH_TOKENS):
        tensors = collate_ragged([{"input_ids": input_ids[row]} for row in batch])
        hashed, present = hash_ngrams(
            tensors["input_ids"], tensors["attention_mask"].bool(), orders, buckets
        )
        rows.append(np.repeat(batch, present.sum(1).numpy()))
        columns.append(hashed[present].numpy())
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = csr_matrix(
        (np.ones(len(row), dtype=np.float32), (row, column)), shape=(len(lengths), buckets)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def fit_ngram_table(
    presence: csr_matrix, labels: NDArray[np.generic], *, num_labels: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a linear classifier over n-grams weighted by their naive-Bayes log-count ratio.

    With more than two classes, each is told from all others.

    Args:
        presence: (N, buckets), from :func:`ngram_presence`.
        labels: (N,) class ids, or (N, C) the probability of each class. The solver knows classes
            only, so a review counts for its more probable side, by how much it is that: what pulls
            both ways is left out of both.
        num_labels: C.

    Returns:
        Weights (buckets, K) and bias (K,), float32; K is 1 for two classes, else C.

    Source: Wang & Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification", with logistic regression in place of the support vector machine.
    """
    reviews = np.asarray(presence.sum(axis=0)).ravel()
    weights, biases = [], []
    for class_id in [1] if num_labels == 2 else range(num_labels):
        share = labels == class_id if labels.ndim == 1 else labels[:, class_id]
        share = np.asarray(share, dtype=np.float32)  # (N,) of the class
        inside, weight = share > 0.5, np.abs(2 * share - 1)
        if not inside.any() or inside.all():
            # A class may be declared and have no review to train on: nothing speaks for it.
            weights.append(np.zeros(len(reviews)))
            biases.append(np.log1p(len(labels)) * (1 if inside.all() else -1))
            continue
        ratio = _log_count_ratio(presence, share)
        ratio[reviews < _MIN_REVIEWS] = 0.0
        linear = LogisticRegression(
            C=_STRENGTH, solver="liblinear", dual=True, tol=1e-2, max_iter=300, random_state=0
        ).fit(presence.multiply(ratio).tocsr(), inside, sample_weight=weight)
        weights.append(linear.coef_[0] * ratio)
        biases.append(linear.intercept_[0])
    return np.stack(weights, axis=1).astype(np.float32), np.array(biases, dtype=np.float32)


def _log_count_ratio(presence: csr_matrix, share: NDArray[np.float32]) -> NDArray[np.float32]:
    ours = presence.T @ share + _SMOOTHING
    theirs = presence.T @ (1 - share) + _SMOOTHING
    return np.log((ours / ours.sum()) / (theirs / theirs.sum())).astype(np.float32)
