"""The reviews that the benchmarks are run on here, and their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.results import BENCHMARKS, LINEAR, RECIPE, TEST, TRAIN, run
from tests.conftest import MadeOnce
from tests.real_reviews import Rows, balanced_reviews, write_source


@pytest.fixture(scope="session")
def rows() -> Rows:
    return balanced_reviews(TRAIN, TEST)


@pytest.fixture(scope="session")
def source(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("reviews") / "source", rows)


@pytest.fixture(scope="session")
def measured(made_once: MadeOnce, source: Path) -> Path:
    """The results of both benchmarks, run as the README says; read them, never write them."""

    def make(folder: Path) -> None:
        folder.mkdir()
        recipe = folder / "tiny.toml"
        recipe.write_text(RECIPE)
        common_options = ["--source", source, "--threads", "1", "--results", folder]
        commands = [
            ["accuracy.py", "--recipe", recipe, "--rows", LINEAR, "--work", folder],
            ["training_speed.py", "--reviews", "30", "--rounds", "1", "--recipe", recipe],
        ]
        for script, *options in commands:
            done = run(BENCHMARKS / str(script), *options, *common_options)
            assert done.returncode == 0, done.stderr

    return made_once("benchmarks", make)
