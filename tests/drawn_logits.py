"""Logits with labels that fit them, for the tests of what is made of the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.reliability import softmax

# Scores, labels that do not fit them, and what is said of them.
UNFIT = [
    (np.zeros((0, 2)), [], "There are no reviews"),
    (np.zeros((2, 2)), [0], r"shapes \(2, 2\) and \(1,\)"),
    (np.zeros(2), [0, 1], r"shapes \(2,\) and \(2,\)"),
    (np.zeros((2, 2)), [0, 2], "A label is 2; .* 2 classes"),
    (np.zeros((2, 2)), [0, -1], "A label is -1"),
]


def drawn(reviews: int, classes: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Logits, and labels drawn by just the probabilities that the logits stand for."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(reviews, classes))
    chances = softmax(logits).cumsum(axis=1)
    return logits, (random.random((reviews, 1)) > chances).sum(axis=1)


def binary(margins: NDArray) -> NDArray:
    """Logits of two classes whose difference is the margin."""
    return np.stack([-margins, margins], axis=1) / 2
