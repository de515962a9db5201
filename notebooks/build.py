"""The cells of the notebook as plain text; run as a script, it writes the .ipynb alone.

Edit here, then run `python notebooks/execute.py`, which builds, executes and saves it.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NOTEBOOK = Path(__file__).parent / "sentiment_lstm.ipynb"
SOURCE = Path(__file__).parent / "sentiment_lstm.md"

_FENCE = re.compile(r"^```python\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def build() -> nbformat.NotebookNode:
    """Cut the Markdown source at its Python blocks into cells.

    Returns:
        A notebook without outputs.
    """
    parts = _FENCE.split(SOURCE.read_text(encoding="utf-8"))
    cells = []
    for number, part in enumerate(parts):
        text = part.strip()
        if text:
            cell = new_code_cell(text) if number % 2 else new_markdown_cell(text)
            cell["id"] = f"cell-{len(cells)}"
            cells.append(cell)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return new_notebook(cells=cells, metadata=metadata)


if __name__ == "__main__":
    nbformat.write(build(), NOTEBOOK)
