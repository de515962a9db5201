"""The command that writes the page, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sentiment_lstm.errors import ModelError, SaveError
from sentiment_lstm.serving.static import PAGE, write_page


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sentiment_lstm", "page", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_the_command_writes_a_page_and_replaces_an_earlier_one(
    vendored: None, exported: Path, tmp_path: Path
):
    for _ in range(2):
        done = command(exported, "--output", tmp_path / "page")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "page" / "index.html").is_file()
    config = json.loads((tmp_path / "page" / "model" / "config.json").read_text())
    assert config["model_type"] == "bert"  # the folder is one for transformers.js
    assert not list((tmp_path / "page").rglob("*.safetensors"))
    assert not list((tmp_path / "page").rglob("*.gz")), "a file server sends what it holds"
    [wasm] = (tmp_path / "page").rglob("*.wasm")
    assert wasm.read_bytes().startswith(b"\0asm")


def test_the_command_refuses_in_one_sentence(vendored: None, exported: Path, tmp_path: Path):
    (tmp_path / "letters.txt").write_text("mine")
    done = command(exported, "--output", tmp_path)
    assert done.returncode == 2
    assert "no page of sentiment-lstm" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_a_model_that_was_not_exported_is_refused(trained: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="sentiment-lstm export"):
        write_page(trained, tmp_path / "page")


def test_a_page_without_its_libraries_is_refused(exported: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "index.html").write_text((PAGE / "index.html").read_text())
    with pytest.raises(SaveError, match=r"`make page` .* `pip install \.`"):
        write_page(exported, tmp_path / "page", page=bare)
    assert not (tmp_path / "page").exists()
