from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment_lstm import runtime
from sentiment_lstm.errors import DataError, ModelError, SaveError
from sentiment_lstm.scoring import Progress, score_files
from sentiment_lstm.scoring.formats.base import PART_ROWS
from tests.scoring.conftest import tree, write_csv

pytestmark = pytest.mark.usefixtures("here")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def mixed(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of every type, one of them of several parts, some of their rows no texts."""
    folder = tmp_path_factory.mktemp("mixed") / "in"
    many = [f"{text} {number}" for number in range(5) for text in texts]
    assert len(many) > 2 * PART_ROWS
    write_csv(folder / "many.csv", many)
    write_csv(folder / "deep" / "holes.csv", ["fine", "", "two\nlines", "  "])
    lines = [json.dumps({"text": text, "n": 1}) + "\n" for text in texts[:50]]
    (folder / "lines.jsonl.gz").write_bytes(
        gzip.compress("".join([*lines, '{"text": null}\n', "{\n", '{"text": 5}\n']).encode())
    )
    table = pa.table({"text": [*texts[:30], None], "n": range(31)})
    pq.write_table(table, folder / "table.parquet", row_group_size=10)
    (folder / "readme.md").write_text("Not a file to score.")
    return folder


@pytest.fixture(scope="module")
def scored(mixed: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scored") / "out"
    score_files(mixed, output, model=exported)
    return output


def test_every_row_comes_out_once_in_its_order_with_its_own_columns(mixed: Path, scored: Path):
    before, after = rows_of(mixed / "many.csv"), rows_of(scored / "many.csv")
    assert list(after[0]) == ["id", "text", "label", "confidence", "truncated"]
    assert [(row["id"], row["text"]) for row in after] == [
        (row["id"], row["text"]) for row in before
    ]


def test_each_row_has_what_the_model_says_of_it(scored: Path, exported: Path):
    # Both score alone in 32 bits, where the batch does not matter, and in 8 bits within a batch.
    rows = rows_of(scored / "many.csv")[::97]
    expected = runtime.load(exported, batch_tokens=1).predict([row["text"] for row in rows])
    for row, prediction in zip(rows, expected, strict=True):
        assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=0.02)
        assert row["truncated"] == "false"
    labels = [row["label"] for row in rows]
    assert sum(a == b.label for a, b in zip(labels, expected, strict=True)) >= len(rows) - 1
    assert set(labels) == {"negative", "positive"}


def test_every_type_comes_out_as_itself(scored: Path):
    lines = gzip.decompress((scored / "lines.jsonl.gz").read_bytes()).splitlines()
    assert len(lines) == 50
    assert list(json.loads(lines[0])) == ["text", "n", "label", "confidence", "truncated"]
    table = pq.read_table(scored / "table.parquet")
    assert table.column("n").to_pylist() == list(range(30))
    assert [row["text"] for row in rows_of(scored / "deep" / "holes.csv")] == ["fine", "two\nlines"]


def test_rows_that_cannot_be_scored_are_kept_with_their_reasons(scored: Path):
    def rejected(name: str) -> list[dict]:
        path = scored / "rejected" / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    assert [(one["row"], one["content"]) for one in rejected("deep/holes.csv")] == [
        (2, {"id": "1", "text": ""}),
        (4, {"id": "3", "text": "  "}),
    ]
    found = rejected("lines.jsonl.gz")
    assert [one["row"] for one in found] == [51, 52, 53]
    assert found[0]["reason"].startswith("column 'text' is null")
    assert found[1]["reason"].startswith("line 52 is malformed JSON")
    assert found[2]["reason"].startswith("column 'text' is int (5)")
    [null] = rejected("table.parquet")
    assert (null["file"], null["row"]) == ("table.parquet", 31)
    assert not (scored / "rejected" / "many.csv.jsonl").exists()


def test_the_manifest_adds_up(mixed: Path, scored: Path):
    manifest = json.loads((scored / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert manifest["rows"] == manifest["scored"] + manifest["rejected"]
    assert manifest["rejected"] == 6
    assert manifest["ignored"] == ["readme.md"]
    by_name = {file["file"]: file for file in manifest["files"]}
    assert by_name["many.csv"]["rows"] == len(rows_of(mixed / "many.csv"))
    assert by_name["table.parquet"]["columns"] == ["text", "n"]
    assert str(mixed) not in json.dumps(manifest)


def test_the_same_command_again_does_nothing(mixed: Path, scored: Path, exported: Path):
    before = {path: path.stat().st_mtime_ns for path in scored.rglob("*.csv")}
    summary = score_files(mixed, scored, model=exported)
    assert summary.rows == summary.rows_before
    assert {path: path.stat().st_mtime_ns for path in scored.rglob("*.csv")} == before


def test_the_number_of_workers_changes_no_byte(
    mixed: Path, scored: Path, exported: Path, tmp_path: Path
):
    score_files(mixed, tmp_path / "out", model=exported, workers=1)
    assert tree(tmp_path / "out") == tree(scored)


def test_progress_ends_at_the_whole(mixed: Path, exported: Path, tmp_path: Path):
    seen: list[Progress] = []
    score_files(mixed, tmp_path / "out", model=exported, on_progress=seen.append)
    assert [done.rows for done in seen] == sorted(done.rows for done in seen)
    assert seen[-1].files == seen[-1].all_files == 4
    assert seen[-1].read_bytes == seen[-1].all_bytes
    assert seen[0].rows == 0


def test_spans_and_names_of_ones_own(exported: Path, tmp_path: Path):
    path = write_csv(tmp_path / "a.csv", ["a dreadful film", "wonderful"], label=["x", "y"])
    score_files(
        path, tmp_path / "out", model=exported, explain=True, abstain=1.0, prefix="predicted_"
    )
    rows = rows_of(tmp_path / "out" / "a.csv")
    assert [row["label"] for row in rows] == ["x", "y"]
    assert [row["predicted_label"] for row in rows] == ["", ""]  # withheld
    spans = json.loads(rows[0]["predicted_spans"])
    assert {"a dreadful film"[span["start"] : span["end"]] for span in spans} <= {
        "a", "dreadful", "film",
    }  # fmt: skip


# --- bad input


@pytest.fixture(scope="module")
def hundred(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred files, five of them bad in ways of their own."""
    folder = tmp_path_factory.mktemp("hundred") / "in"
    for number in range(1, 101):
        write_csv(folder / f"{number:03d}.csv", texts[:5])
    (folder / "037.csv").write_text("id,review\n1,one\n")
    (folder / "041.csv").write_text('id,text\n1,one\n2,"two\n3,three"x\n')
    (folder / "051.csv").write_text("id,text,note\n1,one,x\n")
    cut = gzip.compress("\n".join(["text", *texts]).encode())
    (folder / "061.csv.gz").write_bytes(cut[: len(cut) // 2])
    pq.write_table(pa.table({"text": texts}), folder / "071.parquet")
    broken = (folder / "071.parquet").read_bytes()
    (folder / "071.parquet").write_bytes(broken[:-20])
    return folder


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentiment_lstm", "score", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_bad_files_are_named_and_the_good_ones_finished(
    hundred: Path, exported: Path, address: str, tmp_path: Path
):
    output = tmp_path / "out"
    done = command(hundred, output, "--model", exported, "--address", address)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["complete"] is False
    missing = manifest["missing"]
    assert sorted(missing) == ["037.csv", "041.csv", "061.csv.gz", "071.parquet"]
    assert "037.csv: there is no column 'text' among its columns ('id', 'review')" in done.stderr
    assert "041.csv, row 2 (line 3): malformed" in missing["041.csv"]
    assert "the compressed file is cut off" in missing["061.csv.gz"]
    assert "071.parquet, row 1: not a complete Parquet file" in missing["071.parquet"]
    assert manifest["differing_columns"] == {"051.csv": "adds 'note', unlike the other files"}
    assert "Columns differ: 051.csv adds 'note'" in done.stderr
    good = [path for path in output.glob("*.csv") if len(rows_of(path)) == 5]
    assert len(good) == 97
    assert manifest["rows"] == manifest["scored"] == 97 * 5 + 1

    # Mended, they are scored, and nothing else is.
    before = {path: path.stat().st_mtime_ns for path in good}
    for name in missing:
        (hundred / name).unlink() if name != "037.csv" else write_csv(hundred / name, ["one"])
    with pytest.raises(SaveError, match=r"other files: 041\.csv has gone since"):
        score_files(hundred, output, model=exported)
    write_csv(hundred / "041.csv", ["one"])
    (hundred / "061.csv.gz").write_bytes(gzip.compress(b"text\none\n"))
    pq.write_table(pa.table({"text": ["one"]}), hundred / "071.parquet")
    summary = score_files(hundred, output, model=exported)
    assert summary.complete
    assert (summary.rows, summary.rows_before) == (97 * 5 + 1 + 4, 97 * 5 + 1)
    assert {path: path.stat().st_mtime_ns for path in good} == before


def test_another_model_input_or_setting_is_refused_until_restart(
    exported: Path, tmp_path: Path, texts: list[str]
):
    path, output = write_csv(tmp_path / "in" / "a.csv", texts[:20]), tmp_path / "out"
    score_files(path, output, model=exported)
    first = tree(output)
    with pytest.raises(SaveError, match=r"begun with another model\. Run with --restart"):
        score_files(path, output)
    with pytest.raises(SaveError, match="begun with explain = False, and now it is True"):
        score_files(path, output, model=exported, explain=True)
    write_csv(path, [*texts[:19], texts[19][:-1] + "X"])
    with pytest.raises(SaveError, match=r"another a\.csv, whose content has changed since"):
        score_files(path, output, model=exported)
    write_csv(path, texts[:20])  # as it was, with another date
    assert score_files(path, output, model=exported).rows_before == 20
    (output / "mine.txt").write_text("keep")
    write_csv(path, texts[:10])
    with pytest.raises(SaveError, match=r"another a\.csv, of [\d,]+ bytes"):
        score_files(path, output, model=exported)
    assert tree(output) == {**first, "mine.txt": b"keep"}
    score_files(path, output, model=exported, restart=True)
    assert len(rows_of(output / "a.csv")) == 10
    assert (output / "mine.txt").read_text() == "keep"


def test_an_output_that_is_no_place_for_it_is_refused(exported: Path, tmp_path: Path):
    path = write_csv(tmp_path / "in" / "a.csv", ["one"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(SaveError, match=r"holds 'thesis\.tex', which no run"):
        score_files(path, tmp_path / "full", model=exported)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    with pytest.raises(SaveError, match=r"a\.csv: is a file"):
        score_files(path, path, model=exported)
    with pytest.raises(SaveError, match=r"in: holds a\.csv, which is to be scored"):
        score_files(path, tmp_path / "in", model=exported)


def test_a_model_that_was_not_exported_begins_nothing(trained: Path, tmp_path: Path):
    path = write_csv(tmp_path / "a.csv", ["one"])
    with pytest.raises(ModelError, match="Run `sentiment-lstm export` on it"):
        score_files(path, tmp_path / "out", model=trained)
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_named(exported: Path, tmp_path: Path):
    path = write_csv(tmp_path / "a.csv", ["one"])
    done = command(path, tmp_path / "out", "--model", exported, "--address", "127.0.0.1:9")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: 127.0.0.1:9: no Ray cluster answers")
    assert "Traceback" not in done.stderr


def test_nothing_to_score_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="no such file or folder"):
        score_files(tmp_path / "nothing.csv", tmp_path / "out")


# --- object stores


@pytest.fixture
def bucket(object_store: None) -> str:
    """A bucket of an S3 server on this machine."""
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("reviews")
    return "s3://reviews"


def test_an_object_store_in_and_out(
    bucket: str, exported: Path, address: str, tmp_path: Path, texts: list[str]
):
    path = write_csv(tmp_path / "in" / "a.csv", texts[:20])
    write_csv(tmp_path / "in" / "deep" / "b.csv", ["one", ""])
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.put(str(tmp_path / "in"), f"{bucket}/in", recursive=True)
    there = [f"{bucket}/in/**/*.csv", f"{bucket}/out", "--model", exported, "--address", address]
    done = command(*there)
    assert done.returncode == 0, done.stderr
    assert "22 rows in = 21 scored + 1 rejected." in done.stdout
    score_files(tmp_path / "in", tmp_path / "out", model=exported)
    for name, content in tree(tmp_path / "out").items():
        assert store.cat_file(f"{bucket}/out/{name}") == content, name
    again = command(*there)
    assert "22 rows in = 21 scored + 1 rejected, 22 of them by earlier runs." in again.stdout

    store.pipe_file(f"{bucket}/in/a.csv", path.read_bytes() + b"20,more\n")
    refused = command(*there)
    assert refused.returncode == 2
    assert "begun with another a.csv" in refused.stderr
    done = command(*there, "--restart")
    assert "23 rows in = 22 scored + 1 rejected." in done.stdout
