"""What a small run of the benchmarks of accuracy is made of, and how its results are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from accuracy import accuracy
from tests.conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
RECIPE = """
summary = "Tiny, and quick to learn from few reviews."
[model]
embedding_size = 16
hidden_size = 16
[training]
epochs = 1
batch_size = 20
learning_rate = 2e-2
"""
LINEAR = "tfidf,nb-ngrams"
TRAIN, TEST = 300, 200


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def measure(folder: Path, source: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Measure accuracy on one thread and give what a folder of results then holds, by row."""
    accuracy(source=str(source), threads=1, results=folder, work=folder, **options)
    return by_row(read(folder))


def read(folder: Path, name: str = "accuracy") -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def by_row(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["row"]: run for run in content["runs"]}


def first_table(text: str) -> list[list[str]]:
    lines = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
