"""What was measured is told as it was measured, beside what others have published."""

from __future__ import annotations

from pathlib import Path

import pytest

import tables
from sentiment_lstm.errors import DataError
from tests.benchmarks.results import TEST, first_table, read


def test_the_table_for_the_readme_holds_every_row_the_best_one_first(measured: Path):
    text = (measured / "accuracy.md").read_text(encoding="utf-8")
    head, _, *lines = first_table(text)
    runs = sorted(read(measured)["runs"], key=lambda run: -run["accuracy"])
    assert len(lines) == len(runs)
    for line, one in zip(lines, runs, strict=True):
        cells = dict(zip(head, line, strict=True))
        assert cells["Classifier"] == one["title"]
        assert cells["Accuracy"] == f"{100 * one['accuracy']:.2f} %"
        assert cells["Seeds"] == "1"
        assert cells["Sentences"] == f"{100 * one['sentences']['accuracy']:.1f} %"
        assert cells["Behaviour"] == f"{100 * one['behaviour']['pass_rate']:.1f} %"
        assert cells["ECE"] == f"{one['expected_calibration_error']:.3f}"
        assert cells["Coverage"] == f"{100 * one['coverage']['share']:.1f} %"
    assert "C = " in text
    assert f"{TEST:,} reviews" in text


def test_the_table_gives_the_mean_over_the_seeds_and_their_spread(measured: Path):
    content = read(measured)
    run = content["runs"][0]
    content["runs"] = [
        {**run, "seed": seed, "accuracy": accuracy}
        for seed, accuracy in [(2, 0.94), (0, 0.90), (1, 0.92)]
    ]
    (summary,) = tables.summarize(content["runs"])
    assert summary.seeds == [0, 1, 2]
    assert summary.accuracy == pytest.approx(0.92)
    assert summary.deviation == pytest.approx(0.02)
    head, _, line = first_table(tables.markdown(content))
    cells = dict(zip(head, line, strict=True))
    assert cells["Accuracy"] == "92.00 ± 2.00 %"
    assert cells["Seeds"] == "3"


def test_what_a_row_could_not_be_asked_for_is_a_dash(measured: Path):
    content = read(measured)
    run = {**content["runs"][0], "sentences": None, "behaviour": None}
    other = {**content["runs"][1]}
    # Of other cases than today's: its rate says nothing beside theirs.
    other["behaviour"] = {**other["behaviour"], "fingerprint": "0123456789abcdef"}
    head, _, *lines = first_table(tables.markdown({**content, "runs": [run, other]}))
    cells = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert cells[run["title"]]["Sentences"] == "–"
    assert cells[run["title"]]["Behaviour"] == "–"
    assert cells[other["title"]]["Behaviour"] == "–"
    assert cells[other["title"]]["Sentences"] != "–"


def test_published_accuracies_stand_in_a_section_of_their_own_with_their_sources(measured: Path):
    text = (measured / "accuracy.md").read_text(encoding="utf-8")
    section = text.split("## Published")[1]
    assert len(tables.published()) >= 6
    for figure in tables.published():
        assert f"| {figure['name']} | {100 * figure['accuracy']:.1f} % |" in section
        assert f"| {figure['year']} | {figure['source']} |" in section
        assert "arXiv" in figure["source"]
    assert "other reviews, and do not compare" in section
    official = {**read(measured), "reviews": {"train": 25_000, "test": 25_000}}
    assert "do not compare with them" not in tables.markdown(official)


@pytest.mark.parametrize(
    "content",
    [
        "figures = 3",
        "[[figures]]\nname = 'a'\naccuracy = 0.9\nyear = 2001\nsource = 'b'\n",
        "[[figures]]\nname = 'a'\naccuracy = 91\nyear = 2001\nsource = 'b'\nnote = ''\n",
        "no toml",
    ],
)
def test_a_faulty_file_of_published_figures_is_named(content: str, tmp_path: Path):
    (tmp_path / "published.toml").write_text(content)
    with pytest.raises(DataError, match=r"published\.toml: expected \[\[figures\]\] with"):
        tables.published(tmp_path / "published.toml")


def test_the_table_tells_the_accuracy_on_reviews_of_no_other_split(measured: Path):
    content = read(measured)
    for one in content["runs"]:
        assert one["unseen"]["reviews"] <= TEST
        one["unseen"] = {"accuracy": 0.5, "reviews": TEST - 7}
    shown = tables.markdown(content)
    assert f"Of the {TEST:,} test reviews, 7 stand in the training or the" in shown
    (told,) = [line for line in shown.splitlines() if "Accuracy on the others" in line]
    assert told.count(" 50.00 %") == len(content["runs"])


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(7.2, "7.2 s"), (48, "48 s"), (390, "6.5 min"), (780, "13 min"), (9000, "2.5 h")],
)
def test_a_time_is_said_as_one_reads_it(seconds: float, said: str):
    assert tables.duration(seconds) == said
