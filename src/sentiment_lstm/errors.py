"""What can go wrong for a user, as exceptions whose message is one clear sentence.

::

    SentimentError
    ├── DataError     a source of reviews, a file of it, a column, a row, a label
    ├── TextError     a text handed over for prediction
    ├── ModelError    a model folder, or a file in it
    ├── RecipeError   a recipe, or a setting in it
    ├── SaveError     a result that could not be written to disk
    └── RankError     another process of the same training

A message says where, what was found, what was expected and what to do. Everything else that is
raised is a bug of this package and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "ModelError",
    "RankError",
    "RecipeError",
    "SaveError",
    "SentimentError",
    "TextError",
    "first_line",
    "first_sentence",
    "nearest",
    "one_line",
]


class SentimentError(Exception):
    """A mistake that the user can mend; the command line prints it and exits with status 2."""


class DataError(SentimentError, ValueError):
    """A source of reviews cannot be used as it is."""


class TextError(SentimentError, ValueError):
    """A text cannot be classified as it is."""


class ModelError(SentimentError, ValueError):
    """A model folder is missing, incomplete or inconsistent."""


class RecipeError(SentimentError, ValueError):
    """A recipe is unknown, or one of its settings is."""


class SaveError(SentimentError, OSError):
    """A result could not be written; what stood there before is untouched."""


class RankError(SentimentError, RuntimeError):
    """Of a training on several processes, another one was not found or is lost."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known word closest to a mistyped one, as a sentence with a space before it."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def first_line(cause: Exception | str) -> str:
    """Give the first line of what a library says, for a message of ours."""
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")


def first_sentence(error: Exception) -> str:
    """Give the first sentence of what a library says, for a message of ours."""
    return str(error).partition("\n")[0].partition(". ")[0].rstrip(".") or type(error).__name__


def one_line(error: Exception) -> str:
    """Give all that a library says, folded to one line and cut where it is long."""
    return f"{' '.join(str(error).split()):.300}".rstrip(". ") or type(error).__name__
