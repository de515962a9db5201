"""The commands of docs/other-domains.md are run, in their order, on less data."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sentiment_lstm import artefact
from sentiment_lstm.cli import main
from tests.conftest import ROOT
from tests.star_ratings import read_star_ratings, write_star_ratings

DOCUMENT = (ROOT / "docs" / "other-domains.md").read_text(encoding="utf-8")
# What makes a command small. A later --set or --limit overrides an earlier one.
SMALLER = {
    "data": [],
    "train": [
        *("--limit", "150"),
        *("--set", "training.epochs=1"),
        *("--set", "model.hidden_size=8"),
        *("--set", "model.embedding_size=8"),
        *("--set", "model.ngram_buckets=4096"),
        *("--set", "model.pretrained_embeddings=false"),
    ],
    "evaluate": ["--limit", "40"],
    "predict": [],
}


def commands() -> list[list[str]]:
    """What stands behind a prompt, lines that end in a backslash joined."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append(shlex.split(line[2:]))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    rows = read_star_ratings(["1", "2", "3", "4", "5"])
    write_star_ratings(folder / "stars.csv", rows)
    ours = [words for words in commands() if words[0] == "sentiment-lstm"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in ours:
            patch.setattr("sys.argv", [*words, *SMALLER[words[1]]])
            status: object = None
            try:
                main()
            except SystemExit as stopped:
                status = stopped.code
            assert not status, shlex.join(words)
    return folder


def test_every_command_runs_and_leaves_its_model_or_report(folder: Path):
    outputs = [
        (words[1], words[words.index("--output") + 1])
        for words in commands()
        if "--output" in words
    ]
    assert {kind for kind, _ in outputs} == {"train", "evaluate"}
    for kind, output in outputs:
        assert (folder / output / ("config.json" if kind == "train" else "report.html")).is_file()


def test_the_star_ratings_of_the_document_are_ordinal(folder: Path):
    assert artefact.read_json(folder / "runs" / "stars" / "config.json")["ordinal"] is True


def test_every_other_command_is_a_script_that_is_there():
    others = [words for words in commands() if words[0] != "sentiment-lstm"]
    assert others, "the document says where its stars come from"
    for words in others:
        assert words[0] == "python"
        assert (ROOT / words[1]).is_file()


def test_every_file_that_the_document_links_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", DOCUMENT)
    missing = [link for link in links if "://" not in link and not (ROOT / "docs" / link).exists()]
    assert missing == []
