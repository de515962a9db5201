"""Star ratings that their writers gave: reviews which state one, with the statement taken out.

Of IMDB's reviews, one in twelve says something like "7/10" or "seven out of ten". The number is
the rating, the rest of the review the text: a data set of ordered classes, real on both sides.
IMDB's collection left out what was rated 5 or 6, so the middle is rare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import datasets

__all__ = ["STARS", "stated_stars", "with_stated_stars"]

STARS = ["1", "2", "3", "4", "5"]  # two points of ten each

_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_POINTS = {word: value for value, word in enumerate(_WORDS, start=1)}
_STATED = re.compile(
    rf"(?<![\w./-])(\d{{1,2}}|{'|'.join(_WORDS)})(?:\.\d)?\s*(?:/\s*|\s+out\s+of\s+)"
    r"(?:10|ten)(?![\w/%]|\.\d)",
    re.IGNORECASE,
)


def stated_stars(text: str) -> tuple[str, str] | None:
    """Find the rating out of ten that a review states.

    Returns:
        The review without its statements, and its stars; None where it states no rating, several
        different ones, or one outside 1 to 10.
    """
    stated = {match[1].lower() for match in _STATED.finditer(text)}
    points = {_POINTS.get(value) or int(value) for value in stated}
    if len(points) != 1 or not 1 <= min(points) <= 10:
        return None
    return _STATED.sub(" ", text), STARS[(min(points) - 1) // 2]


def with_stated_stars(
    reviews: Sequence[datasets.Dataset], *, last_words: int | None = None
) -> datasets.Dataset:
    """Keep the reviews that state a rating, labelled by their stars.

    Args:
        reviews: each with a column `text`.
        last_words: keep this many words from the end, where a review sums up; None keeps all.

    Returns:
        Columns `text` and `label` (`ClassLabel`, 1 to 5 stars).
    """
    found = [pair for part in reviews for pair in map(stated_stars, part["text"]) if pair]
    return datasets.Dataset.from_dict(
        {
            "text": [
                text if last_words is None else " ".join(text.split()[-last_words:])
                for text, _ in found
            ],
            "label": [STARS.index(stars) for _, stars in found],
        },
        features=datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=STARS)}
        ),
    )
