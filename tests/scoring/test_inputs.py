from __future__ import annotations

from pathlib import Path

import pytest

from sentiment_lstm.errors import DataError
from sentiment_lstm.scoring.inputs import find_inputs, open_bytes
from tests.serving.browsing import serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.parquet", "deep/c.jsonl.gz", "notes.txt", ".hidden.csv", "_SUCCESS"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\none\n")
    return tmp_path / "in"


def names(source: object) -> list[str]:
    return [file.name for file in find_inputs(str(source))[0]]


def test_a_folder_gives_its_files_by_name_and_says_what_it_leaves_out(folder: Path):
    files, others = find_inputs(str(folder))
    assert [file.name for file in files] == ["a.parquet", "b.csv", "deep/c.jsonl.gz"]
    assert others == ["notes.txt"]


def test_a_glob_names_its_files_from_its_fixed_part(folder: Path):
    assert names(folder / "**" / "*.gz") == ["deep/c.jsonl.gz"]
    assert names(folder / "*.csv") == ["b.csv"]


def test_a_file_has_its_own_name(folder: Path):
    assert names(folder / "deep" / "c.jsonl.gz") == ["c.jsonl.gz"]


def test_a_url_is_as_good_as_a_path(folder: Path):
    files, _ = find_inputs(f"file://{folder}")
    assert [file.name for file in files] == ["a.parquet", "b.csv", "deep/c.jsonl.gz"]
    with open_bytes(files[1]).stream as stream:
        assert stream.read() == b"text\none\n"


def test_a_file_is_read_over_http(folder: Path):
    with serving(folder) as address:
        [file], _ = find_inputs(f"{address}b.csv")
        with open_bytes(file).stream as stream:
            assert stream.read() == b"text\none\n"
    assert file.name == "b.csv"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.csv", "no such file or folder"),
        ("in/*.tsv", "no file to score (found none)"),
        ("in/notes.txt", "no file to score (found notes.txt). Expected .csv, .tsv"),
        ("nonsense://bucket/a.csv", "Protocol not known: nonsense"),
    ],
)
def test_what_is_not_there_is_named(
    source: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(DataError) as caught:
        find_inputs(source)
    assert str(caught.value).startswith(f"{source}: ")
    assert said in str(caught.value)
