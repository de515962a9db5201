from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from sentiment_lstm.classifier import TextClassifier, load
from sentiment_lstm.export import export
from sentiment_lstm.serving.app import create_app
from sentiment_lstm.serving.settings import Settings


@pytest.fixture(scope="session")
def served_folder(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model with its 32-bit ONNX file, whose answers depend on no neighbour."""
    folder = tmp_path_factory.mktemp("served") / "model"
    shutil.copytree(trained, folder)
    export(folder, validation=None)
    return folder


@pytest.fixture(scope="session")
def classifier(served_folder: Path) -> TextClassifier:
    return load(served_folder)


@pytest.fixture(scope="session")
def client(classifier: TextClassifier, served_folder: Path) -> Iterator[TestClient]:
    settings = Settings(
        max_body_bytes=20_000, max_items=8, max_characters=1_000, model_folder=served_folder
    )
    with TestClient(create_app(classifier, settings)) as client:
        yield client
