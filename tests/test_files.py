from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentiment_lstm.errors import SaveError
from sentiment_lstm.files import write_file


def test_a_file_is_written_with_its_folder_and_over_an_older_one(tmp_path: Path):
    path = tmp_path / "deep" / "a.txt"
    for content in (b"old", b"new"):
        assert write_file(path, content) == path
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SaveError, match=r"a\.txt: cannot be written \(") as caught:
        write_file(tmp_path / "file" / "a.txt", b"new")
    assert caught.value.strerror in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_stopped_halfway_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write_file(tmp_path / "a.txt", b"old")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
