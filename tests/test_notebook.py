"""The notebook runs from top to bottom on a small sample; every step of it leaves its trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT

COMMITTED = ROOT / "notebooks" / "sentiment_lstm.ipynb"


def printed(notebook: nbformat.NotebookNode) -> str:
    """All that the cells printed."""
    return "".join(
        output["text"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream"
    )


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    output = tmp_path_factory.mktemp("notebook") / "executed.ipynb"
    environment = {**os.environ, "SENTIMENT_LSTM_SAMPLE": "120", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "notebooks" / "execute.py"), str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.read(output, as_version=4)


def assert_whole(notebook: nbformat.NotebookNode) -> None:
    text = printed(notebook)
    losses = [float(loss) for loss in re.findall(r"^epoch +\d+ +loss ([\d.]+)", text, re.M)]
    assert len(losses) == 10
    assert losses[-1] < losses[0], "ten epochs must teach it something"
    assert re.search(r"test accuracy \d+\.\d+%", text)
    assert "identical predictions: True" in text
    assert "TensorDataset" in text
    for step in ("+ padding left unread", "+ 512 tokens", "+ both ways, mean and max"):
        assert re.search(rf"{re.escape(step)} +validation \d+\.\d+% +test \d+\.\d+%", text)
    assert pictures(notebook) >= 4
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert all(output.get("name") != "stderr" for output in cell.outputs), cell.source


def test_every_step_runs_on_a_small_sample(executed: nbformat.NotebookNode):
    assert_whole(executed)


def test_the_committed_notebook_is_the_source_with_its_outputs(executed: nbformat.NotebookNode):
    committed = nbformat.read(COMMITTED, as_version=4)
    assert [cell.source for cell in committed.cells] == [cell.source for cell in executed.cells]
    assert_whole(committed)


def test_the_committed_notebook_tells_nothing_of_the_machine_it_ran_on():
    text = COMMITTED.read_text(encoding="utf-8")
    assert str(Path.home()) not in text
    assert not re.search(r'"/(home|root|work|tmp|Users)/', text)
    assert "iopub.execute_input" not in text
