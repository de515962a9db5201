from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment_lstm.errors import DataError
from sentiment_lstm.scoring.formats import Format, Part, format_of
from sentiment_lstm.scoring.formats.base import PART_ROWS, ROW_BYTES
from sentiment_lstm.scoring.inputs import find_inputs

NEW = ("label", "confidence", "truncated")


def read(path: Path, column: str = "text") -> tuple[Format, list[Part]]:
    [file], _ = find_inputs(str(path))
    reader = format_of(file.name)(file.name, column, NEW)
    return reader, list(reader.read(file))


def texts(path: Path) -> list[object]:
    reader, parts = read(path)
    return [text for part in parts for text in reader.texts(part.table)]


def rejected(path: Path) -> dict[int, str]:
    return {one.row: one.reason for part in read(path)[1] for one in part.rejected}


def written(path: Path) -> bytes:
    """The file read and written again, each row with the same three values."""
    reader, parts = read(path)
    done = [
        reader.write(part.table, {name: [value] * len(part.table) for name, value in ADDED.items()})
        for part in parts
    ]
    sink = io.BytesIO()
    reader.merge(done, reader.columns, sink)
    return sink.getvalue()


ADDED = {"label": "positive", "confidence": 0.75, "truncated": False}


# --- CSV


def test_a_newline_in_a_quoted_cell_moves_nothing(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text('id,text,note\r\n1,"two\r\nlines, and ""quotes""",x\r\n\r\n2,plain,NA\r\n')
    assert texts(path) == ['two\r\nlines, and "quotes"', "plain"]
    assert read(path)[1][0].row_numbers() == [1, 2]


def test_cells_come_out_as_they_went_in(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,text\n007,fine\n1.00,"a, b"\nNA,<br />é🙂\n'.encode())
    assert written(path).decode() == (
        "id,text,label,confidence,truncated\n"
        "007,fine,positive,0.75,false\n"
        '1.00,"a, b",positive,0.75,false\n'
        "NA,<br />é🙂,positive,0.75,false\n"
    )


def test_tabs_separate_the_cells_of_a_tsv(tmp_path: Path):
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\n1\tgood, really\n")
    assert written(path).splitlines()[1] == b"1\tgood, really\tpositive\t0.75\tfalse"


def test_a_row_of_too_few_cells_is_rejected_alone(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n2\n3,three\n4,four,4\n5,five\n")
    assert texts(path) == ["one", "three", "five"]
    assert rejected(path) == {
        2: "line 3 has 1 cells, the header has 2",
        4: "line 5 has 3 cells, the header has 2",
    }
    assert read(path)[1][0].row_numbers() == [1, 3, 5]


def test_bytes_that_are_no_utf_8_reject_their_row_alone(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,one\n2,caf\xe9\n3,\xc3\xa9t\xc3\xa9\n")
    assert texts(path) == ["one", "été"]
    assert rejected(path) == {2: "column 'text' in line 3 is not valid UTF-8"}
    assert read(path)[1][0].rejected[0].content == {"id": "2", "text": "caf\\xe9"}


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ('1,one\n2,"two\n3,three"x\n', "row 2 (line 3)"),
        ('1,one\n2,two\n3,"three\n', "row 3 (line 4)"),
    ],
)
def test_a_stray_quote_is_named_with_its_row(tmp_path: Path, rows: str, place: str):
    path = tmp_path / "a.csv"
    path.write_text(f"id,text\n{rows}")
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"a.csv, {place}: malformed" in str(caught.value)
    assert "Close every double quote" in str(caught.value)


def test_a_header_alone_gives_a_header(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n")
    assert written(path) == b"id,text,label,confidence,truncated\n"


def test_a_missing_column_is_named_beside_the_nearest(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("id,texts\n1,one\n")
    with pytest.raises(DataError, match="no column 'text' among its columns") as caught:
        read(path)
    assert "Did you mean 'texts'?" in str(caught.value)


def test_an_empty_file_has_no_column(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.touch()
    with pytest.raises(DataError, match="it is empty"):
        read(path)


# --- JSONL


def test_lines_come_out_as_they_went_in(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    lines = ['{"id": 1.00, "text": "fine\\u0041 \u2028 é"}', '{"text":"x","text2":[1e5]}']
    path.write_text("\n".join([*lines, "", '{"text": null}']))
    assert texts(path) == ["fineA \u2028 é", "x", None]
    expected = '", "label": "positive", "confidence": 0.75, "truncated": false}'
    found = written(path).decode().split("\n")
    assert found[0] == lines[0].removesuffix('"}') + expected
    assert found[1].startswith('{"text":"x","text2":[1e5], "label"')


def test_a_line_that_is_no_object_is_rejected_alone(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"text": "one"}\n{"text": "tw\n[1]\n{"text": "caf\xe9"}\n{"other": 5}\n{"text": "six"}'
    )
    assert texts(path) == ["one", None, "six"]
    found = rejected(path)
    assert found[2].startswith("line 2 is malformed JSON (Unterminated string")
    assert found[3] == "line 3 is no JSON object"
    assert found[4] == "line 4 is not valid UTF-8: byte 0xe9 at offset 13"
    assert sorted(found) == [2, 3, 4]


def test_a_column_that_no_line_has_is_missing(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"body": "one"}\n{"body": "two"}\n')
    with pytest.raises(DataError, match=r"no column 'text' among its columns \('body'\)"):
        read(path)


# --- Parquet


def test_parquet_keeps_its_types(tmp_path: Path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "id": pa.array([1, 2, 3], pa.uint16()),
            "text": pa.array(["one", None, "three"]).dictionary_encode(),
            "when": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "tags": pa.array([["a"], [], None], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, path)
    assert texts(path) == ["one", None, "three"]
    found = pq.read_table(io.BytesIO(written(path)))
    assert found.select(table.column_names).equals(table)
    assert found.column("confidence").to_pylist() == [0.75] * 3
    assert found.schema.field("truncated").type == pa.bool_()


_READ = """
import sys

import psutil

from sentiment_lstm.scoring.formats import format_of
from sentiment_lstm.scoring.inputs import find_inputs

[file], _ = find_inputs(sys.argv[1])
used = [
    psutil.Process().memory_full_info().uss
    for _ in format_of(file.name)(file.name, "text", ()).read(file)
]
print(max(used) - used[len(used) // 4])
"""


def test_parquet_of_many_row_groups_is_read_in_the_memory_of_a_few(tmp_path: Path):
    path = tmp_path / "a.parquet"
    rows, groups = 3_000, 40
    schema = pa.schema([("text", pa.string())])
    random = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for _ in range(groups):
            text = random.integers(97, 123, (rows, 1_000), dtype=np.uint8)
            table = pa.table({"text": [row.tobytes().decode() for row in text]}, schema=schema)
            writer.write_table(table)
    grown = subprocess.run(
        [sys.executable, "-c", _READ, str(path)], check=True, capture_output=True, text=True
    )
    # Over all row groups in one call, pyarrow comes to 76 MiB more.
    assert int(grown.stdout) < 40 << 20


def test_small_row_groups_make_no_small_parts(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [str(n) for n in range(3_000)]}), path, row_group_size=10)
    _, parts = read(path)
    assert [part.rows for part in parts] == [1_024, 1_024, 952]
    assert texts(path) == [str(n) for n in range(3_000)]


def test_text_that_is_no_utf_8_is_rejected_from_parquet(tmp_path: Path):
    path = tmp_path / "a.parquet"
    column = pa.array([b"one", b"caf\xe9", b"three"], pa.binary())
    pq.write_table(pa.table({"text": column, "id": [1, 2, 3]}), path)
    assert texts(path) == ["one", "three"]
    assert rejected(path) == {2: "column 'text' is not valid UTF-8"}
    assert read(path)[1][0].rejected[0].content == {"text": "caf\\xe9", "id": 2}


def test_numbers_are_no_texts(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1, 2]}), path)
    with pytest.raises(DataError, match="column 'text' holds int64, not text"):
        read(path)


def test_a_broken_footer_is_named(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one"] * 100}), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet, row 1: not a complete Parquet file"):
        read(path)


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert pq.read_table(io.BytesIO(written(path))).column_names == ["text", *NEW]


# --- all of them


def as_csv(rows: list[str]) -> bytes:
    return "".join(["text\n", *(f'"{row}"\n' for row in rows)]).encode()


def as_jsonl(rows: list[str]) -> bytes:
    return "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()


def as_parquet(rows: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": rows}), sink, row_group_size=700)
    return sink.getvalue()


WRITERS: dict[str, Callable[[list[str]], bytes]] = {
    "a.csv": as_csv,
    "a.jsonl": as_jsonl,
    "a.parquet": as_parquet,
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "a.jsonl.xz": lambda rows: lzma.compress(as_jsonl(rows)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_parts_are_of_one_size_and_lose_no_row(name: str, tmp_path: Path):
    path = tmp_path / name
    rows = [f"review {number}" for number in range(2 * PART_ROWS + 5)]
    path.write_bytes(WRITERS[name](rows))
    _, parts = read(path)
    assert [part.rows for part in parts] == [PART_ROWS, PART_ROWS, 5]
    assert [part.first_row for part in parts] == [1, PART_ROWS + 1, 2 * PART_ROWS + 1]
    assert texts(path) == rows
    assert parts[-1].position_bytes == path.stat().st_size


@pytest.mark.parametrize("name", WRITERS)
def test_long_rows_make_short_parts(name: str, tmp_path: Path):
    path = tmp_path / name
    rows = [f"{number} " * (PART_ROWS * ROW_BYTES // 20) for number in range(10, 30)]
    path.write_bytes(WRITERS[name](rows))
    _, parts = read(path)
    assert len(parts) > 1
    assert all(part.table.nbytes < 2 * PART_ROWS * ROW_BYTES for part in parts)
    assert texts(path) == rows


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_written_is_a_file_of_its_type(name: str, tmp_path: Path):
    path = tmp_path / name
    rows = [f"review {number}" for number in range(PART_ROWS + 1)]
    path.write_bytes(WRITERS[name](rows))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_bytes(written(path))
    [file], _ = find_inputs(str(folder / name))
    reader = format_of(name)(name, "label", ["other"])
    labels = [label for part in reader.read(file) for label in reader.texts(part.table)]
    assert labels == ["positive"] * len(rows)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.xz"])
def test_a_compressed_file_that_ends_early_is_named_with_its_row(name: str, tmp_path: Path):
    path = tmp_path / name
    rows = [f"{number} {hash(str(number))}" for number in range(60_000)]
    path.write_bytes(WRITERS[name](rows))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    [file], _ = find_inputs(str(path))
    reader = format_of(name)(name, "text", NEW)
    found: list[int] = []
    with pytest.raises(DataError, match=rf"{name}, row [\d]+: the compressed file is cut off"):
        found.extend(part.rows for part in reader.read(file))
    assert sum(found) > PART_ROWS  # what stands before the cut was read


@pytest.mark.parametrize("name", WRITERS)
def test_a_column_that_would_be_doubled_is_refused(name: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(WRITERS[name](["one"]))
    [file], _ = find_inputs(str(path))
    with pytest.raises(DataError, match=r"has a column 'text' of its own.*--prefix"):
        list(format_of(name)(name, "text", ["text"]).read(file))


@pytest.mark.parametrize("name", WRITERS)
def test_the_hash_is_that_of_the_whole_file(name: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(WRITERS[name](["one", "two"]))
    assert read(path)[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
