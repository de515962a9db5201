"""Read the specs by which teachers are named: how one is made, of what, and its weight."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from sentiment_lstm.errors import ModelError

__all__ = ["DISTIL", "FINETUNE", "SELF", "TeacherSpec", "read_spec", "split_weight"]

SELF, FINETUNE, DISTIL = "self", "finetune", "distil"
_OF_AN_ENCODER = re.compile(rf"({FINETUNE}|{DISTIL})(?:-([0-9]+))?:")


@dataclass(frozen=True, kw_only=True)
class TeacherSpec:
    """A spec, taken apart; equal to another that is made alike, whatever either weighs."""

    kind: str  # SELF, FINETUNE or DISTIL; "" if the teacher is there already
    name: str  # of the teacher, or of the encoder that it is made of; "" of SELF
    window_tokens: int | None  # that the encoder is to read at once, where the spec says so
    # As it was written, with its `@`; "" if it was not.
    weight: str = field(compare=False)


def read_spec(spec: str) -> TeacherSpec:
    """Take a spec apart.

    Raises:
        ModelError: the weight is no number above 0.
    """
    made = _OF_AN_ENCODER.match(spec)
    # The weight is looked for apart from the kind: an encoder's path may hold an `@`, and is known
    # by being there.
    written = spec if made is None else spec[made.end() :]
    name, _ = split_weight(written)
    weight = written[len(name) :]
    if made is not None:
        kind, window = made.groups()
        tokens = None if window is None else int(window)
        return TeacherSpec(kind=kind, name=name, window_tokens=tokens, weight=weight)
    if name == SELF:
        return TeacherSpec(kind=SELF, name="", window_tokens=None, weight=weight)
    return TeacherSpec(kind="", name=name, window_tokens=None, weight=weight)


def split_weight(spec: str) -> tuple[str, float]:
    """Take the weight off a spec: what stands behind its last `@`; 1 if there is none.

    Raises:
        ModelError: that is no number above 0.
    """
    name, at, text = spec.rpartition("@")
    if not at or Path(spec).exists():
        return spec, 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not name or not 0 < weight < math.inf:
        raise ModelError(
            f"{spec}: {text!r} is no weight of a teacher. Write SPEC@WEIGHT with a number above 0, "
            "or the spec alone."
        )
    return name, weight
