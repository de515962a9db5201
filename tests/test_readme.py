"""What the README tells a reader to type is run here, in its order, in one folder."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from datasets import DatasetDict

from tests.conftest import ROOT
from tests.processes import run_code, run_command

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(sentences: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder with reviews.csv, and the README's shell commands run in it."""
    folder = tmp_path_factory.mktemp("reader")
    names = sentences["train"].features["label"].names
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "verdict"])
        writer.writerows((row["text"], names[row["label"]]) for row in sentences["train"])
    for block in blocks("bash"):
        for line in block.strip().splitlines():
            words = shlex.split(line)
            assert words[0] == "sentiment-lstm", line
            done = run_command(*words[1:], cwd=folder)
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return folder


def test_shell_commands_run_and_leave_what_they_promise(folder: Path):
    for path in ("runs/mine/config.json", "runs/other/config.json", "mine.toml"):
        assert (folder / path).is_file(), path


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.split("\n")[0])
def test_python_examples_run(block: str, folder: Path):
    done = run_code(block, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or "def " in block


@pytest.mark.parametrize("block", blocks("js"), ids=lambda block: block.split("\n")[0])
def test_javascript_examples_run(block: str, folder: Path):
    node, modules = shutil.which("node"), ROOT / "web" / "node_modules"
    if node is None or not (modules / "@huggingface" / "transformers").is_dir():
        pytest.skip("needs Node and web/node_modules, which `make page` fetches")
    (folder / "node_modules").symlink_to(modules)
    done = subprocess.run(
        [node, "--input-type=module", "--eval", block], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout


def test_every_file_that_the_readme_links_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`|^\$ make ([a-z]+)", README, flags=re.MULTILINE))
    assert {one or other for one, other in named} <= targets
    assert {"demo", "test"} <= {one or other for one, other in named}
