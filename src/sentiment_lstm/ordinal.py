"""Labels that have an order, such as stars: their order, their values, and what to train on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["expected_values", "in_order", "label_values", "ordinal_targets"]

_WHOLE_NUMBER = re.compile(r"-?\d+")
# `1`, `1.5`, `1 star`, `1-star`, `1★`; but neither `1st` nor `3D`, which are words.
_LEADING_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?)(?!\w|\.\d)")


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort labels by the number that each begins with where all do, else by name.

    Whole numbers of any length are compared exactly, so that no two identifiers become one.
    """
    unique = sorted(set(labels))
    if all(map(_WHOLE_NUMBER.fullmatch, unique)):
        return tuple(sorted(unique, key=int))
    values = label_values(unique)
    if values is None:
        return tuple(unique)
    return tuple(unique[place] for place in np.argsort(values, kind="stable"))


def label_values(labels: Sequence[str]) -> NDArray[np.float64] | None:
    """Give the number that each label begins with, (C,), or None where one begins with none."""
    found = [_LEADING_NUMBER.match(label) for label in labels]
    if not all(found):
        return None
    return np.array([float(match[1]) for match in found if match], dtype=np.float64)


def ordinal_targets(num_labels: int, *, slope: float) -> NDArray[np.float32]:
    """Spread each class over its neighbours, the less the further they are.

    Args:
        num_labels: C.
        slope: how fast a class's share falls with its distance from the true one; each class
            further off has exp(-slope) of the share before it.

    Returns:
        (C, C), rows that sum to 1: row i is what to train on in place of class i.

    Source: Díaz & Marathe 2019, "Soft Labels for Ordinal Regression", CVPR; the distance is that
    between the places of two classes.
    """
    places = np.arange(num_labels)
    shares = np.exp(-slope * np.abs(places[:, None] - places))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def expected_values(
    probabilities: NDArray[np.float64], labels: Sequence[str]
) -> NDArray[np.float64] | None:
    """Average the labels' numbers by their probability.

    Args:
        probabilities: (N, C).
        labels: C names.

    Returns:
        (N,), or None where a label begins with no number.
    """
    values = label_values(labels)
    return None if values is None else probabilities @ values
