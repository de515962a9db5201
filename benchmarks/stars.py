"""Star ratings that their writers gave: reviews which state one, with the statement taken out.

    python benchmarks/stars.py stars.csv                   # columns review, stars and split
    python benchmarks/stars.py ends.csv --last-words 60    # the ends of the reviews alone

Of IMDB's reviews, one in twelve says something like "7/10" or "seven out of ten". The number is
the rating, the rest of the review the text: a data set of ordered classes, real on both sides.
IMDB's collection left out what was rated 5 or 6, so the middle is rare.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import datasets
import numpy as np
import typer
from rich.console import Console

from common import DEFAULT_SOURCE, run_script
from sentiment_lstm.data import load_reviews
from sentiment_lstm.data.splits import near_duplicate_groups
from sentiment_lstm.errors import DataError, SaveError

__all__ = ["STARS", "rated_splits", "stars", "stated_stars", "with_stated_stars"]

STARS = ["1", "2", "3", "4", "5"]  # two points of ten each

_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_POINTS = {word: value for value, word in enumerate(_WORDS, start=1)}
_STATED = re.compile(
    rf"(?<![\w./-])(\d{{1,2}}|{'|'.join(_WORDS)})(?:\.\d)?\s*(?:/\s*|\s+out\s+of\s+)"
    r"(?:10|ten)(?![\w/%]|\.\d)",
    re.IGNORECASE,
)


def stars(
    output: Annotated[Path, typer.Argument(help="The CSV to write.")],
    source: Annotated[str, typer.Option(help="IMDB, as a folder or as imdb.")] = DEFAULT_SOURCE,
    last_words: Annotated[
        int | None, typer.Option(help="Keep this many words from a review's end.", min=1)
    ] = None,
) -> None:
    """Write the reviews that state a rating, with their stars, as a file to train on."""
    splits = rated_splits(source, last_words=last_words)
    try:
        with output.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["review", "stars", "split"])
            for split, part in splits.items():
                names = part.features["label"].names
                writer.writerows((row["text"], names[row["label"]], split) for row in part)
    except OSError as error:
        raise SaveError(f"{output}: cannot be written ({error.strerror}).") from error
    sizes = ", ".join(f"{len(part):,} {split}" for split, part in splits.items())
    Console(highlight=False).print(f"{output}: {sizes} reviews")


def rated_splits(source: str, *, last_words: int | None = None) -> datasets.DatasetDict:
    """Load IMDB and keep what states a rating; the unsupervised reviews join those of train.

    A review of the test split is left out where train holds it, or nearly.

    Raises:
        DataError: the source cannot be read, or no review of a split states a rating.
    """
    whole = load_reviews(source)
    of_train = [whole[name] for name in ("train", "unsupervised") if name in whole]
    splits = datasets.DatasetDict(
        train=with_stated_stars(of_train, last_words=last_words),
        test=with_stated_stars([whole["test"]], last_words=last_words),
    )
    for name, part in splits.items():
        if not len(part):
            raise DataError(
                f"{source}: no review of the split {name!r} states a rating out of ten. Name "
                "another source by --source."
            )
    texts = [text for part in splits.values() for text in part["text"]]
    groups = near_duplicate_groups(texts)
    known, tested = np.split(groups, [len(splits["train"])])
    splits["test"] = splits["test"].select(np.flatnonzero(~np.isin(tested, known)))
    return splits


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


if __name__ == "__main__":
    run_script(stars)
