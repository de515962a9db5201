"""Build the notebook, execute it from top to bottom and save it with its outputs.

    python notebooks/execute.py [OUTPUT.ipynb]

`SENTIMENT_LSTM_SAMPLE=N` limits it to N reviews a split, for a quick try.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from build import NOTEBOOK, build
from nbclient import NotebookClient


def execute(output: Path) -> None:
    """Run every cell in the notebook's folder; the first that fails ends it."""
    notebook = build()
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute()
    nbformat.write(notebook, output)


if __name__ == "__main__":
    execute(Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK)
