"""Records are kept, marked or measured anew, by what they were measured with."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import common
import records
import rows as benchmark_rows
import tables
from sentiment_lstm.errors import DataError
from sentiment_lstm.recipes import load_recipe
from tests.benchmarks.results import LINEAR, RECIPE, by_row, first_table, measure, read


@pytest.fixture
def elsewhere(measured: Path, tmp_path: Path) -> Path:
    """A folder of results in which the row tfidf was measured on another machine."""
    content = read(measured)
    content["runs"] = [by_row(content)[name] for name in ("tfidf", "nb-ngrams", "tiny")]
    content["runs"][0]["conditions"]["machine"]["cpu"] = "abacus"
    common.write_json(tmp_path / "accuracy.json", content)
    return tmp_path


def test_a_row_of_another_machine_is_measured_here_too_and_both_stand_there_marked(
    source: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
):
    measure(elsewhere, source, rows=[LINEAR])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of the records were measured elsewhere" in said
    assert "abacus" in said
    assert said.count("seed 0: kept") == 1  # nb-ngrams
    runs = read(elsewhere)["runs"]
    assert [run["row"] for run in runs] == ["tfidf", "nb-ngrams", "tiny", "tfidf"]
    text = (elsewhere / "accuracy.md").read_text(encoding="utf-8")
    titles = [line[0] for line in first_table(text)[2:]]
    assert sorted(title for title in titles if "TF-IDF" in title) == [
        runs[0]["title"],
        f"{runs[0]['title']} ¹",
    ]
    (note,) = [line for line in text.splitlines() if line.startswith("¹")]
    assert "abacus" in note
    assert "abacus" not in text.replace(note, "")


def test_seeds_of_two_machines_are_never_averaged(elsewhere: Path):
    runs = read(elsewhere)["runs"]
    here = {**runs[0], "seed": 1, "accuracy": 0.5, "conditions": runs[1]["conditions"]}
    found = {s.mark: s for s in tables.summarize([*runs, here]) if s.row == "tfidf"}
    assert {mark: summary.seeds for mark, summary in found.items()} == {"": [1], "¹": [0]}
    assert found[""].accuracy == 0.5
    newer = {**here, "conditions": {**here["conditions"], "commit": "0123456789ab"}}
    summaries = [s for s in tables.summarize([here, {**newer, "seed": 2}]) if s.row == "tfidf"]
    assert [summary.seeds for summary in summaries] == [[1, 2]]  # the code may have moved on


def test_other_versions_are_marked_like_another_machine(elsewhere: Path):
    one, other, _ = read(elsewhere)["runs"]
    one["conditions"] = json.loads(json.dumps(other["conditions"]))
    one["conditions"]["versions"]["torch"] = "0.1"
    assert records.same_machine(one, other["conditions"])
    marks = {summary.row: summary.mark for summary in tables.summarize([one, other])}
    assert sorted(marks.values()) == ["", "¹"]
    one["conditions"]["versions"] = {**other["conditions"]["versions"], "sentiment-lstm": "9.9"}
    assert {summary.mark for summary in tables.summarize([one, other])} == {""}


def test_rows_of_other_settings_are_dropped(
    source: Path, measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = read(measured)
    content["runs"] = [by_row(content)["tfidf"]]
    content["runs"][0]["settings"]["ngrams"] = "1 to 9 words"
    content["runs"][0]["seed"] = 7
    common.write_json(tmp_path / "accuracy.json", content)
    measure(tmp_path, source, rows=["tfidf"])
    assert "1 of other settings dropped" in capsys.readouterr().out
    assert [run["seed"] for run in read(tmp_path)["runs"]] == [0]


def test_a_recipe_that_only_says_something_else_of_itself_is_the_same_row(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    row = benchmark_rows.RecipeRow(load_recipe(tmp_path / "tiny.toml"), tmp_path, print)
    recorded = json.loads(json.dumps(row.settings))
    assert row.has_settings(recorded)
    assert row.has_settings({**recorded, "summary": "Said in other words."})
    older = {**recorded, "model": {"embedding_size": 16, "hidden_size": 16}}
    assert row.has_settings(older)  # settings that came later, at their defaults
    assert not row.has_settings({**recorded, "model": {**recorded["model"], "hidden_size": 17}})
    assert not row.has_settings({**recorded, "model": {"forgotten_setting": 1}})


def test_results_of_before_records_had_conditions_are_read_and_measured_anew(
    source: Path, measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = read(measured)
    run = by_row(content)["tfidf"]
    conditions = run.pop("conditions")
    for name in records.FIGURES:
        del run[name]
    shared = {key: conditions[key] for key in ("machine", "threads", "versions")}
    common.write_json(tmp_path / "accuracy.json", {**content, **shared, "runs": [run]})
    before = records.read_records(tmp_path / "accuracy.json")
    assert before is not None
    assert before["runs"][0]["conditions"] == {**shared, "commit": None}
    assert "commit not recorded" in tables.markdown(before)
    measure(tmp_path, source, rows=["tfidf"])
    assert "kept" not in capsys.readouterr().out
    (after,) = read(tmp_path)["runs"]
    assert after["behaviour"] == by_row(read(measured))["tfidf"]["behaviour"]


def test_records_of_other_reviews_are_left_alone(measured: Path, source: Path, tmp_path: Path):
    common.write_json(tmp_path / "accuracy.json", read(measured))
    before = (tmp_path / "accuracy.json").read_bytes()
    with pytest.raises(DataError, match=r"holds 3 records of other reviews .*by --results"):
        measure(tmp_path, source, rows=["tfidf"], limit=60)
    assert (tmp_path / "accuracy.json").read_bytes() == before


@pytest.mark.parametrize("content", ['{"runs": 3}', '{"runs": [3]}', "[]", "{"])
def test_a_file_of_something_else_is_no_result(content: str, tmp_path: Path):
    (tmp_path / "accuracy.json").write_text(content)
    with pytest.raises(DataError, match="holds no results of a benchmark"):
        records.read_records(tmp_path / "accuracy.json")


def test_the_commit_is_that_of_the_code_and_says_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(common, "ROOT", tmp_path)
    assert common.commit() is None
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "All of it")
    found = common.commit()
    assert re.fullmatch("[0-9a-f]{12}", found or "")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "accuracy.json").write_text("{}")
    assert common.commit() == found  # results are no code
    (tmp_path / "src" / "a.py").write_text("1")
    assert common.commit() == f"{found} with changes"
