"""Match the labels of a teacher with those of the student, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.errors import ModelError

__all__ = ["label_order"]

_POSITION = re.compile(r"label_(\d+)", re.IGNORECASE)
_LONG_NAMES = {"neg": "negative", "pos": "positive"}


def label_order(theirs: Sequence[str], ours: Sequence[str], *, teacher: str) -> NDArray[np.int64]:
    """Find the teacher's column of each label of the student.

    Case counts for nothing, `neg` and `pos` are `negative` and `positive`, and a teacher that was
    saved without names (`LABEL_0`, `LABEL_1`, ...) is taken to have the student's order.

    Args:
        theirs: the teacher's names, in the order of its columns.
        ours: the student's.
        teacher: what a message calls the teacher.

    Returns:
        (C,) int64, so that `probabilities[:, order]` has the student's order.

    Raises:
        ModelError: the names are not the same.
    """
    for fold in (_folded, _spelled_out):
        order = _matched([fold(name) for name in theirs], [fold(name) for name in ours])
        if order is not None:
            return order
    positions = [_POSITION.fullmatch(name.strip()) for name in theirs]
    if all(positions) and len(theirs) == len(ours):
        numbers = [int(match[1]) for match in positions if match]
        order = _matched(list(map(str, numbers)), list(map(str, range(len(ours)))))
        if order is not None:
            return order
    raise ModelError(
        f"{teacher}: the teacher's labels are {_listed(theirs)}, the student's {_listed(ours)}. "
        "Name a teacher with the same labels, or rename the labels of one of them."
    )


def _matched(theirs: Sequence[str], ours: Sequence[str]) -> NDArray[np.int64] | None:
    if sorted(theirs) != sorted(ours) or len(set(ours)) != len(ours):
        return None
    return np.array([theirs.index(name) for name in ours], dtype=np.int64)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _spelled_out(name: str) -> str:
    return _LONG_NAMES.get(_folded(name), _folded(name))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
