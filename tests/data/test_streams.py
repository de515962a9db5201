from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from sentiment_lstm.data import load_unlabelled, store_texts, streams
from sentiment_lstm.errors import DataError

TEXTS = ["one", "two words", 'three, "quoted"', "four\u2028lines", "fünf"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "BATCH_TEXTS", 2)


def write(folder: Path, kind: str) -> Path:
    path = folder / f"texts{kind}"
    if kind == ".parquet":
        pq.write_table(pa.table({"text": TEXTS, "other": range(5)}), path)
    elif kind in (".csv", ".tsv"):
        Dataset.from_dict({"text": TEXTS}).to_csv(str(path), sep="," if kind == ".csv" else "\t")
    elif kind == ".json":
        path.write_text(json.dumps([{"text": text} for text in TEXTS]))
    elif kind == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    elif kind == "-saved":
        DatasetDict(
            train=Dataset.from_dict({"text": ["labelled"], "label": [1]}),
            unsup=Dataset.from_dict({"text": TEXTS, "label": [-1] * 5}),
        ).save_to_disk(path)
    return path


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".tsv", ".json", ".jsonl", "-saved"])
def test_texts_of_every_kind_are_read_in_batches_and_lie_on_disk(tmp_path: Path, kind: str):
    texts = load_unlabelled(write(tmp_path, kind))
    assert list(texts["text"]) == TEXTS
    assert texts.column_names == ["text"]
    assert Path(texts.cache_files[0]["filename"]).is_file()


def test_a_text_file_has_a_text_a_line_wherever_the_batch_ends(tmp_path: Path):
    path = tmp_path / "texts.txt"
    path.write_bytes("\ufeffone\r\ntwo\u2028three\n\nfour\n\nfive".encode())
    assert list(load_unlabelled(path)["text"]) == ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.csv", b"text\na\nb\nc,d\n", r"a\.csv, row 3 \(line 4\): it has 2 cells"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"}\n{"text": 3}\n', r"row 3: .*'text' holds 3"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"}\n{"text"\n', r"row 3 \(line 3\): malformed"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "b"}\n[]\n', r"row 3: found \[\], expected"),
        ("a.txt", b"a\nb\nc\xff\n", r"a\.txt, line 3: byte 0xff at offset 5 is not valid UTF-8"),
        ("a.csv", b"text\na\nb\nc\xff\n", r"a\.csv, line 4: byte 0xff at offset 10"),
        ("a.csv", b"review\na\n", "no column 'text'.* 'review'"),
        ("a.jsonl", b'{"review": "a"}\n', "no column 'text'.* 'review'"),
        ("a.csv", b"", "is empty"),
        ("a.xlsx", b"", "the type '.xlsx' is unknown"),
        ("a.parquet", b"PAR1", "not a complete Parquet file"),
    ],
)
def test_a_fault_beyond_the_first_batch_is_named_with_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, complaint: str
):
    # Others may be storing texts in the folder that all share.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        load_unlabelled(tmp_path / name)
    assert list(streams.cache_folder().glob(".texts-*")) == []


def test_what_a_killed_process_has_left_is_cleared_away_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    left, being_written = (streams.cache_folder() / name for name in (".texts-1", ".texts-2"))
    for aside in left, being_written:
        aside.mkdir()
        (aside / "texts.arrow").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(left, (yesterday, yesterday))
    store_texts([["a"]], Features({"text": Value("string")}))
    assert not left.exists()
    assert being_written.exists()


def test_a_missing_text_of_a_parquet_file_is_named_with_its_row(tmp_path: Path):
    pq.write_table(pa.table({"text": ["a", "b", None]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="row 3: column 'text' holds null"):
        load_unlabelled(tmp_path / "a.parquet")


def test_the_same_texts_are_kept_once_whatever_the_batches():
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    one = store_texts([["a", "b"], [], ["c"]], features)
    two = store_texts([["a"], ["b", "c"]], features)
    assert one.cache_files == two.cache_files
    assert one.features == features
    assert one["label"][:] == [-1, -1, -1]
    assert store_texts([["ab", "c"]], features).cache_files != one.cache_files
    assert len(store_texts([[]], features)) == 0
