"""Sentiment classification at transformer-class accuracy and LSTM cost.

Importing this loads nothing heavy: each public name is resolved when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentiment_lstm.behaviour import check_behaviour
    from sentiment_lstm.classifier import Explanation, Prediction, TextClassifier, load
    from sentiment_lstm.data import load_reviews
    from sentiment_lstm.estimator import SentimentClassifier
    from sentiment_lstm.evaluation import evaluate
    from sentiment_lstm.model import SentimentConfig, SentimentModel
    from sentiment_lstm.prediction import Classifier
    from sentiment_lstm.recipes import Recipe, load_recipe, recipe_names
    from sentiment_lstm.training import train
    from sentiment_lstm.tuning.search import tune

__all__ = [
    "Classifier",
    "Explanation",
    "Prediction",
    "Recipe",
    "SentimentClassifier",
    "SentimentConfig",
    "SentimentModel",
    "TextClassifier",
    "check_behaviour",
    "evaluate",
    "load",
    "load_recipe",
    "load_reviews",
    "recipe_names",
    "train",
    "tune",
]

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "prediction",
    "Explanation": "classifier",
    "Prediction": "classifier",
    "Recipe": "recipes",
    "SentimentClassifier": "estimator",
    "SentimentConfig": "model",
    "SentimentModel": "model",
    "TextClassifier": "classifier",
    "check_behaviour": "behaviour",
    "evaluate": "evaluation",
    "load": "classifier",
    "load_recipe": "recipes",
    "load_reviews": "data",
    "recipe_names": "recipes",
    "train": "training",
    "tune": "tuning.search",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
