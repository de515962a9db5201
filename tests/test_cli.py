from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from datasets import DatasetDict
from typer.testing import CliRunner

from sentiment_lstm.cli import app
from sentiment_lstm.recipes import load_recipe, recipe_names, recipe_text
from tests.processes import run_command

ONE_LINE = {"COLUMNS": "1000", "TERM": "dumb"}


def run(
    *arguments: str | Path, stdin: str | bytes | None = None, cwd: Path | None = None
) -> CompletedProcess[str]:
    """Run the command as a user does, in a process of its own, with nothing wrapped."""
    content = stdin.encode() if isinstance(stdin, str) else stdin
    return run_command(*arguments, stdin=content or b"", cwd=cwd, environment=ONE_LINE)


def assert_user_error(done: CompletedProcess[str], *parts: str) -> None:
    """One sentence on standard error, exit status 2, and no traceback."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in done.stderr


@pytest.fixture(scope="module")
def csv_file(sentences: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real sentences with labels as names, in one file without a split."""
    path = tmp_path_factory.mktemp("csv") / "sentences.csv"
    names = sentences["train"].features["label"].names
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "verdict"])
        for row in sentences["train"].select(range(200)):
            writer.writerow([row["text"], names[row["label"]]])
    return path


def test_help_lists_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("data", "explore", "train", "tune", "evaluate", "predict", "recipes"):
        assert command in done.stdout


def test_recipes_are_listed_with_their_summaries():
    done = run("recipes", "list")
    assert done.returncode == 0
    for name in recipe_names():
        assert name in done.stdout
        assert load_recipe(name).summary in done.stdout


def test_a_recipe_is_printed_as_it_was_written():
    assert run("recipes", "show", "classic").stdout == recipe_text("classic")


def test_a_recipe_is_copied_but_never_over_another_file(tmp_path: Path):
    path = tmp_path / "mine.toml"
    assert run("recipes", "copy", "default", path).returncode == 0
    assert path.read_text() == recipe_text("default")
    assert_user_error(run("recipes", "copy", "classic", path), "stands there already")
    assert path.read_text() == recipe_text("default")
    assert_user_error(run("recipes", "copy", "classic", tmp_path / "x"), "ends in .toml")
    assert_user_error(run("recipes", "show", "clasic"), "Did you mean 'classic'")


def test_train_evaluate_and_predict_on_a_file_of_ones_own(csv_file: Path, tmp_path: Path):
    columns = ["--text-column", "review", "--label-column", "verdict"]
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        'summary = "Small."\n[model]\nembedding_size = 8\nhidden_size = 8\n'
        "[training]\nbatch_size = 16\nlearning_rate = 1e-2\n"
    )
    trained = run(
        *["train", csv_file, "--recipe", recipe, "--epochs", "2", "--output", "model", *columns],
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    assert "epoch  1/2   train loss" in trained.stdout
    assert "epoch  2/2   train loss" in trained.stdout
    assert "Test accuracy" in trained.stdout
    training = json.loads((tmp_path / "model" / "training.json").read_text())
    assert training["recipe"]["training"]["epochs"] == 2

    evaluated = run(
        "evaluate", "model", csv_file, *columns, "--json", "--output", "report", cwd=tmp_path
    )
    assert evaluated.returncode == 0, evaluated.stderr
    measured = json.loads(evaluated.stdout)
    metrics = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert measured["accuracy"] == metrics["test"]["accuracy"]
    assert measured["reviews"] == 40
    assert (tmp_path / "report" / "report.html").is_file()

    predicted = run("predict", "model", "a fine film", "dull [bold]", "--json", cwd=tmp_path)
    rows = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["a fine film", "dull [bold]"]
    assert all(row["label"] in {"negative", "positive"} for row in rows)
    assert all(0.5 <= row["confidence"] <= 1 for row in rows)


def test_predict_reads_standard_input_and_files_line_by_line(trained: Path, tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_bytes("\ufeffgood\r\nbad\u2028still the same text\n".encode())
    from_file = run("predict", trained, "--file", file, "--json")
    from_stdin = run("predict", trained, "--json", stdin="good\nbad\u2028still the same text")
    assert from_file.stdout == from_stdin.stdout
    texts = [json.loads(line)["text"] for line in from_file.stdout.strip("\n").split("\n")]
    assert texts == ["good", "bad\u2028still the same text"]


def test_predictions_are_shown_as_a_table(trained: Path):
    done = run("predict", trained, "A wonderful film.", "[red]not markup[/red]")
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout
    assert "[red]not markup[/red]" in done.stdout


@pytest.fixture
def with_thresholds(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder with thresholds no text, or every text, falls below."""
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    calibration = json.loads((folder / "calibration.json").read_text())
    calibration["thresholds"] = {"0.95": 0.0, "0.98": 1.0, "0.99": None}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    return folder


def test_labels_below_the_threshold_are_withheld(with_thresholds: Path):
    texts = ["A wonderful film.", "[red]dreadful[/red]"]
    table = run("predict", with_thresholds, *texts, "--abstain", "98%")
    assert table.returncode == 0, table.stderr
    assert len(re.findall(r"abstained \(was: (?:posi|nega)tive\)", table.stdout)) == 2
    assert "2 of 2 labels are withheld: their confidence is below 100.0%." in table.stderr
    lines = run("predict", with_thresholds, *texts, "--abstain", "1", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["label"], row["abstained"]) for row in rows] == [(None, True)] * 2
    assert all(row["confidence"] == max(row["probabilities"].values()) for row in rows)
    plain = run("predict", with_thresholds, *texts, "--abstain", "95%")
    assert "abstained" not in plain.stdout
    assert plain.stderr == ""


@pytest.mark.parametrize(
    ("abstain", "parts"),
    [
        ("1.5", ["--abstain is '1.5'", "from 0 to 1", "such as 99%"]),
        ("high", ["--abstain is 'high'"]),
        ("99%", ["model: no confidence gave an accuracy of 99% on 100 or more of its"]),
        ("97%", ["model: keeps no threshold for an accuracy of 97%, only for 95%, 98%, 99%."]),
    ],
)
def test_a_threshold_that_cannot_be_used_is_named(
    with_thresholds: Path, abstain: str, parts: list[str]
):
    assert_user_error(run("predict", with_thresholds, "good", "--abstain", abstain), *parts)


def test_a_folder_without_thresholds_is_said_to_have_none(with_thresholds: Path):
    (with_thresholds / "calibration.json").unlink()
    done = run("predict", with_thresholds, "good", "--abstain", "99%")
    assert_user_error(done, "model: keeps no thresholds", "--abstain 99% cannot be looked up")


@pytest.mark.parametrize(
    ("arguments", "stdin", "parts"),
    [
        (["good", " "], None, ["Text 2 is empty"]),
        ([], "good\n\nbad\n", ["Text 2 is empty"]),
        ([], "", ["There is no text to classify"]),
        ([], b"good\nb\xe4d\n", ["standard input: byte 6 is no UTF-8"]),
        (["--file", "missing.txt"], None, ["missing.txt: cannot be read (No such file"]),
        (["good", "--file", "x"], None, ["Give one of them"]),
    ],
)
def test_texts_that_cannot_be_classified_are_named(
    trained: Path, arguments: list[str], stdin: str | bytes | None, parts: list[str]
):
    assert_user_error(run("predict", trained, *arguments, stdin=stdin), *parts)


def test_empty_texts_pass_when_allowed(trained: Path):
    done = run("predict", trained, "--allow-empty", "--json", stdin="good\n\nbad")
    assert len(done.stdout.splitlines()) == 3


def test_a_missing_model_is_named(tmp_path: Path):
    assert_user_error(run("predict", tmp_path / "none", "good"), "none: no such folder")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--recipe", "clasic"], ["Did you mean 'classic'"]),
        (["--set", "training.epoch=3"], ["no setting training.epoch", "Did you mean 'epochs'"]),
        (["--text-column", "reviw"], ["reviw", "review"]),
        (["--epochs", "0"], ["training.epochs is 0; expected at least 1"]),
        (["--teacher", "😀", "--recipe", "fast"], ["😀: no Hugging Face classifier"]),
        (["--tokenizer", "no/such-tokenizer"], ["no BERT tokenizer could be loaded"]),
    ],
)
def test_a_wrong_training_is_named_and_leaves_nothing_behind(
    csv_file: Path, tmp_path: Path, arguments: list[str], parts: list[str]
):
    columns = ["--text-column", "review", "--label-column", "verdict"]
    done = run("train", csv_file, *columns, *arguments, "--output", tmp_path / "model")
    assert_user_error(done, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["train", "finetune-teacher", "tune"])
@pytest.mark.parametrize("option", ["--seed", "--split-seed"])
def test_a_seed_below_0_is_refused(command: str, option: str):
    done = CliRunner().invoke(app, [command, "movie-reviews", option, "-1"])
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output
