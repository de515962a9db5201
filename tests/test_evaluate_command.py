"""`sentiment-lstm evaluate` prints and saves what it measures; a mistake is one sentence."""

from __future__ import annotations

import csv
import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict

from sentiment_lstm.cli import main
from sentiment_lstm.prediction import load

COLUMNS = ["--text-column", "review", "--label-column", "verdict"]
Command = Callable[..., int]


@pytest.fixture
def command(
    trained: Path, sentences: DatasetDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Run the command on a trained model, in a folder with reviews.csv: 80 train, 120 test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rows = []
    for split, reviews in (
        ("train", sentences["train"].select(range(80))),
        ("test", sentences["test"]),
    ):
        names = reviews.features["label"].names
        rows += [(row["text"], names[row["label"]], split) for row in reviews]
    write_csv(tmp_path / "reviews.csv", rows)

    def run(*arguments: str, model: Path | str = trained) -> int:
        monkeypatch.setattr("sys.argv", ["sentiment-lstm", "evaluate", str(model), *arguments])
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
        return 0

    return run


def write_csv(path: Path, rows: list[tuple[str, str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("review", "verdict", "split"), *rows])


def test_the_command_prints_and_saves_what_it_measured(
    command: Command, trained: Path, sentences: DatasetDict, capsys: pytest.CaptureFixture[str]
):
    assert command("reviews.csv", *COLUMNS, "--output", "out") == 0
    printed = capsys.readouterr().out
    classifier = load(trained)
    texts, labels = list(sentences["test"]["text"]), np.array(sentences["test"]["label"])
    accuracy = (classifier.predict_proba(texts).argmax(axis=1) == labels).mean()
    for part in (f"{accuracy:.2%}", "ROC AUC", "true \\ predicted", "out/report.html", "120"):
        assert part in printed
    values = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))
    assert values["accuracy"] == accuracy
    assert values["title"] == "model on reviews.csv, split test"
    assert values["facts"]["Measured on"] == "reviews.csv, split test: 120 reviews"
    assert values["facts"]["Recipe"] == classifier.facts["Recipe"]
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "Learning curves" in page
    assert values["mistakes"][0]["text"][:40] in printed


def test_the_report_names_the_words_that_misled_the_model_and_those_that_warned_it(
    command: Command, trained: Path
):
    assert command("reviews.csv", *COLUMNS, "--output", "out") == 0
    mistakes = json.loads(Path("out/metrics.json").read_text(encoding="utf-8"))["mistakes"]
    page = html.unescape(Path("out/report.html").read_text(encoding="utf-8"))
    classifier = load(trained)
    expected = []
    for mistake in mistakes:
        (reasons,) = classifier.explain([mistake["text"]], label=mistake["predicted"])
        strongest = sorted(reasons.words, key=lambda word: abs(word.score), reverse=True)[:6]
        misled = [word.text for word in strongest if word.score > 0]
        warned = [word.text for word in strongest if word.score <= 0]
        assert misled, "a label that no word speaks for"
        against = f"; against {', '.join(warned)}" if warned else ""
        expected.append(f"Misled by {', '.join(misled)}{against}")
    assert expected
    assert re.findall(r'<p class="muted reasons" dir="auto">(.*?)</p>', page) == expected


def test_json_is_all_that_stands_on_standard_output(
    command: Command, capsys: pytest.CaptureFixture[str]
):
    assert command("reviews.csv", *COLUMNS, "--json") == 0
    printed = capsys.readouterr().out
    assert printed == Path("runs/evaluate/metrics.json").read_text(encoding="utf-8")
    assert json.loads(printed)["reviews"] == 120


def test_a_sample_is_drawn_by_the_seed(command: Command, capsys: pytest.CaptureFixture[str]):
    drawn = []
    for seed in ("3", "3", "4"):
        assert command("reviews.csv", *COLUMNS, "--limit", "30", "--seed", seed, "--json") == 0
        drawn.append(json.loads(capsys.readouterr().out))
    assert drawn[0] == drawn[1]
    assert drawn[0]["mistakes"] != drawn[2]["mistakes"]
    assert drawn[0]["reviews"] == 30
    assert "30 of them drawn at random by seed 3" in drawn[0]["facts"]["Measured on"]


def test_a_training_split_is_measured_with_a_warning(
    command: Command, capsys: pytest.CaptureFixture[str]
):
    assert command("reviews.csv", *COLUMNS, "--split", "train") == 0
    assert "These reviews are of a training split" in capsys.readouterr().out
    assert "These reviews are of a training split" in Path("runs/evaluate/report.html").read_text()


def test_empty_reviews_are_left_out_and_said_to_be(
    command: Command, capsys: pytest.CaptureFixture[str]
):
    rows = [(f"film {n}", ("negative", "positive")[n % 2], "train") for n in range(4)]
    rows += [("good", "positive", "test"), ("", "negative", "test"), ("bad", "negative", "test")]
    write_csv(Path("holes.csv"), rows)
    assert command("holes.csv", *COLUMNS) == 0
    assert "1 with an empty text left out" in capsys.readouterr().out
    assert "1 review has an empty text and was left out" in Path(
        "runs/evaluate/report.html"
    ).read_text(encoding="utf-8")


def test_abstaining_is_counted_and_printed(
    command: Command, trained: Path, sentences: DatasetDict, capsys: pytest.CaptureFixture[str]
):
    probabilities = load(trained).predict_proba(list(sentences["test"]["text"]))
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.array(sentences["test"]["label"])
    threshold = float(np.median(confidence).round(3))
    assert command("reviews.csv", *COLUMNS, "--abstain", str(threshold)) == 0
    printed = " ".join(capsys.readouterr().out.split())
    answered, avoided = confidence >= threshold, (~right & (confidence < threshold)).sum()
    assert f"Labels withheld below a confidence of {threshold:.4g}" in printed
    assert f"coverage {answered.mean():.2%} {answered.sum()} of 120 reviews" in printed
    assert f"accuracy {right[answered].mean():.2%} of the answered" in printed
    assert f"errors avoided {avoided / (~right).sum():.2%} {avoided} of {(~right).sum()}" in printed
    values = json.loads(Path("runs/evaluate/metrics.json").read_text(encoding="utf-8"))
    assert values["abstention"]["answered"] == answered.sum()
    assert values["abstention"]["errors_avoided"] == avoided


def test_the_coverage_at_each_target_is_printed(
    command: Command, capsys: pytest.CaptureFixture[str]
):
    assert command("reviews.csv", *COLUMNS) == 0
    printed = capsys.readouterr().out
    values = json.loads(Path("runs/evaluate/metrics.json").read_text(encoding="utf-8"))
    for found in values["coverage_at_accuracy"]:
        name = f"coverage at {found['target']:.0%}"
        (line,) = (line for line in printed.splitlines() if line.startswith(name))
        assert ("no confidence gives" in line) == (found["coverage"] is None)
        assert found["coverage"] is None or f"{found['coverage']:.2%}" in line
    assert f"{values['adaptive_calibration_error']:.4f}" in printed
    assert "withheld" not in printed


def test_the_threshold_of_the_folder_is_measured_without_an_option(
    command: Command, trained: Path, capsys: pytest.CaptureFixture[str]
):
    model = Path(shutil.copytree(trained, "copy"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "abstain_below": 1.0}))
    assert command("reviews.csv", *COLUMNS, "--limit", "20", model=model) == 0
    assert "Labels withheld below a confidence of 1" in capsys.readouterr().out


def test_brackets_in_a_review_are_printed_as_they_are(
    command: Command, capsys: pytest.CaptureFixture[str]
):
    rows = [(f"film {n}", ("negative", "positive")[n % 2], "train") for n in range(4)]
    rows += [("[bold]it[/bold] [/] [", label, "test") for label in ("negative", "positive")]
    write_csv(Path("[red]brackets.csv"), rows)
    assert command("[red]brackets.csv", *COLUMNS) == 0
    printed = capsys.readouterr().out
    assert "[bold]it[/bold] [/] [" in printed
    assert "model on [red]brackets.csv, split test" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["reviews.csv", *COLUMNS, "--split", "tset"], "the splits are: 'train', 'test'"),
        (["missing.csv"], "missing.csv: there is no such file or folder"),
        (["reviews.csv"], "no column 'text'"),
        (["reviews.csv", *COLUMNS, "--output", "reviews.csv"], "reviews.csv: is a file."),
        (["reviews.csv", *COLUMNS, "--abstain", "2"], "--abstain is '2'; expected a confidence"),
        (
            ["reviews.csv", *COLUMNS, "--abstain", "97%"],
            "no threshold for an accuracy of 97%",
        ),
        (["stars.csv", *COLUMNS], "labelled '1', '5'; the model knows 'negative', 'positive'"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(
    arguments: list[str], expected: str, command: Command, capsys: pytest.CaptureFixture[str]
):
    rows = [(f"film {n}", "15"[n % 2], split) for n in range(4) for split in ("train", "test")]
    write_csv(Path("stars.csv"), rows)
    assert command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.startswith("Error: ")
    assert len(captured.err.strip().splitlines()) == 1
    assert sorted(path.name for path in Path().iterdir()) == ["reviews.csv", "stars.csv"]


def test_a_missing_model_is_named(command: Command, capsys: pytest.CaptureFixture[str]):
    assert command("reviews.csv", *COLUMNS, model="runs/none") == 2
    assert "runs/none: no such folder" in capsys.readouterr().err


def test_a_limit_of_none_is_refused(command: Command, capsys: pytest.CaptureFixture[str]):
    assert command("reviews.csv", *COLUMNS, "--limit", "0") == 2
    assert "--limit" in capsys.readouterr().err
