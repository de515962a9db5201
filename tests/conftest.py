"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def imdb_folder() -> Path:
    """The official IMDB splits in the hub's layout, beside the checkout where there is a copy."""
    folder = ROOT.parent / "shared" / "imdb"
    if not folder.is_dir():
        pytest.skip("needs the official IMDB parquet files in ../shared/imdb")
    return folder
