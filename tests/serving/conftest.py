from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from sentiment_lstm.classifier import TextClassifier, load
from sentiment_lstm.serving.app import create_app
from sentiment_lstm.serving.settings import Settings


@pytest.fixture(scope="session")
def classifier(exported: Path) -> TextClassifier:
    return load(exported)


@pytest.fixture(scope="session")
def client(classifier: TextClassifier, exported: Path) -> Iterator[TestClient]:
    settings = Settings(
        max_body_bytes=20_000, max_items=8, max_characters=1_000, model_folder=exported
    )
    with TestClient(create_app(classifier, settings)) as client:
        yield client
