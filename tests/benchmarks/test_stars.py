"""Star ratings are found in what reviews say of themselves, and both labels are judged rightly."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import ordinal
import stars
from sentiment_lstm.data import load_reviews
from tests.benchmarks.results import BENCHMARKS, run
from tests.star_ratings import read_star_ratings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dull. 3/10.", "2"),
        ("I give it 7 out of 10, no more", "4"),
        ("Ten out of ten from me!", "5"),
        ("8.5/10", "4"),
        ("1 / 10", "1"),
        ("7/10 at first, but really 7/10", "4"),
        ("7/10 at first, then 3/10", None),
        ("11/10!", None),
        ("0/10", None),
        ("on 9/10/2001", None),
        ("seen on 12/9/10", None),
        ("9/100", None),
        ("7 out of 10% of the cases", None),
        ("often", None),
        ("", None),
    ],
)
def test_the_rating_that_a_review_states_is_its_label(text: str, expected: str | None):
    found = stars.stated_stars(text)
    assert (found and found[1]) == expected


def test_the_statement_does_not_stay_in_the_text():
    text, rating = stars.stated_stars("Great fun. 9/10. Yes, 9 out of 10!") or ("", "")
    assert text.split() == ["Great", "fun.", ".", "Yes,", "!"]
    assert rating == "5"


def write_reviews(path: Path, *, rated: bool = True) -> None:
    rows = read_star_ratings([str(points) for points in range(1, 11)], points_each=1)
    # 5 and 6 are too few to be in both splits; a second statement would contradict the first.
    rows = [row for row in rows if row[1] not in ("5", "6") and not stars.stated_stars(row[0])]
    rows = rows[:: len(rows) // 120][:120]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for place, (text, points) in enumerate(rows):
            said = f"{points}/10 {text}" if rated else text
            label = "positive" if int(points) > 5 else "negative"
            writer.writerow([said, label, "test" if place % 3 == 0 else "train"])
            if place == 1:
                writer.writerow([said, label, "test"])  # leaks


def test_the_script_writes_a_file_that_can_be_trained_on(tmp_path: Path):
    write_reviews(tmp_path / "reviews.csv")
    output = tmp_path / "stars.csv"
    done = run(BENCHMARKS / "stars.py", output, "--source", tmp_path / "reviews.csv")
    assert done.returncode == 0, done.stderr
    splits = load_reviews(output, text_column="review", label_column="stars")
    assert {name: len(part) for name, part in splits.items()} == {"train": 80, "test": 40}
    assert not set(splits["train"]["text"]) & set(splits["test"]["text"])
    assert set(splits["train"].features["label"].names) <= set(stars.STARS)
    assert not any(stars.stated_stars(text) for text in splits["train"]["text"])


def test_reviews_that_state_no_rating_are_refused_in_one_sentence(tmp_path: Path):
    write_reviews(tmp_path / "reviews.csv", rated=False)
    done = run(BENCHMARKS / "stars.py", tmp_path / "out.csv", "--source", tmp_path / "reviews.csv")
    assert done.returncode == 2
    assert "no review of the split 'train' states a rating" in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_only_the_last_words_are_kept_on_request(tmp_path: Path):
    write_reviews(tmp_path / "reviews.csv")
    splits = stars.rated_splits(str(tmp_path / "reviews.csv"), last_words=5)
    assert max(len(text.split()) for text in splits["train"]["text"]) == 5


def test_mode_and_median_are_judged_by_the_same_measures():
    probabilities = np.array([[0.4, 0.3, 0.3], [0.1, 0.2, 0.7]])
    found = ordinal.judged(probabilities, np.array([2, 2]))
    assert found["mode"] == {"accuracy": 0.5, "mean_absolute_error": 1.0, "kappa": 0.0}
    assert found["median"]["mean_absolute_error"] == 0.5


def test_the_study_runs_at_small_size_and_keeps_no_result(tmp_path: Path):
    write_reviews(tmp_path / "reviews.csv")
    arguments = ["--source", tmp_path / "reviews.csv", "--limit", "60"]
    before = (BENCHMARKS / "results" / "ordinal.json").read_bytes()
    done = run(BENCHMARKS / "ordinal.py", *arguments, "--slopes", "2", "--seeds", "0")
    assert done.returncode == 0, done.stderr
    assert "slope 2, seed 0" in done.stdout
    assert (BENCHMARKS / "results" / "ordinal.json").read_bytes() == before
