"""The classifiers that an LSTM has to beat: linear models over n-grams, and fastText.

Each has one hyper-parameter, which is chosen on reviews held out of the training split; all other
settings are those of the paper named. The test split chooses nothing.
"""

from __future__ import annotations

import importlib.util
import pickle
import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from sentiment_lstm.nb_ngrams import (
    TOKEN_PATTERN,
    clean,
    log_count_ratio,
    ngram_marks,
    tfidf_ngrams,
)

__all__ = ["Baseline", "FastTextBigrams", "NbNgrams", "TfidfNgrams"]

_TOKEN = re.compile(TOKEN_PATTERN)
_FASTTEXT = {"dim": 10, "epoch": 25, "wordNgrams": 2, "minCount": 1, "bucket": 10_000_000}


class Baseline(ABC):
    """A classifier of two classes with one hyper-parameter to choose."""

    name: str
    title: str
    source: str
    parameter: str
    candidates: tuple[float, ...]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What decides the result beside the reviews, the seed and the value chosen."""

    @abstractmethod
    def accuracies(
        self,
        texts: Sequence[str],
        labels: NDArray[np.int64],
        held_out_texts: Sequence[str],
        held_out_labels: NDArray[np.int64],
        *,
        seed: int,
    ) -> dict[float, float]:
        """Fit with every candidate and give each one's accuracy on the reviews held out."""

    @abstractmethod
    def fit(
        self, texts: Sequence[str], labels: NDArray[np.int64], *, value: float, seed: int
    ) -> None:
        """Fit with the chosen value of the hyper-parameter."""

    @abstractmethod
    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of either class for every text, (N, 2)."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write all that predicting needs."""


class _LinearNgrams(Baseline):
    """Logistic regression over word n-grams, its features perhaps weighted by a ratio."""

    parameter = "C"
    longest: int

    @property
    def settings(self) -> dict[str, Any]:
        """The features and the solver."""
        return {
            "source": self.source,
            "ngrams": f"1 to {self.longest} words",
            "tokens": TOKEN_PATTERN,
            "solver": "liblinear, dual",
            f"{self.parameter} tried": list(self.candidates),
        }

    def accuracies(
        self,
        texts: Sequence[str],
        labels: NDArray[np.int64],
        held_out_texts: Sequence[str],
        held_out_labels: NDArray[np.int64],
        *,
        seed: int,
    ) -> dict[float, float]:
        vectorizer = self._vectorizer()
        features = csr_matrix(vectorizer.fit_transform(texts))
        ratio = self._ratio(features, labels)
        features = _scaled(features, ratio)
        held_out = _scaled(csr_matrix(vectorizer.transform(held_out_texts)), ratio)
        found = {}
        for value in self.candidates:
            regression = _regression(features, labels, value, seed)
            found[value] = float(regression.score(held_out, held_out_labels))
        return found

    def fit(
        self, texts: Sequence[str], labels: NDArray[np.int64], *, value: float, seed: int
    ) -> None:
        self._vectors = self._vectorizer()
        features = csr_matrix(self._vectors.fit_transform(texts))
        ratio = self._ratio(features, labels)
        regression = _regression(_scaled(features, ratio), labels, value, seed)
        # Weighting the features or their weights comes to the same.
        self._weights = np.ravel(regression.coef_) * (1.0 if ratio is None else ratio)  # (F,)
        self._bias = float(np.ravel(regression.intercept_)[0])

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        scores = self._vectors.transform(texts) @ self._weights + self._bias  # (N,)
        positive = np.exp(-np.logaddexp(0, -scores))  # the logistic function, without overflow
        return np.stack([1 - positive, positive], axis=1)

    def save(self, folder: Path) -> None:
        with (folder / "model.pickle").open("wb") as file:
            pickle.dump((self._vectors, self._weights, self._bias), file)

    @abstractmethod
    def _vectorizer(self) -> CountVectorizer: ...

    def _ratio(self, features: csr_matrix, labels: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Weights of the features (F,), or None for ones."""
        del features, labels
        return None


class TfidfNgrams(_LinearNgrams):
    """TF-IDF of uni- and bigrams with logistic regression, as scikit-learn has them."""

    name = "tfidf"
    title = "TF-IDF 1–2-grams + logistic regression"
    source = "scikit-learn's TfidfVectorizer, with sublinear term frequencies"
    candidates = (1.0, 3.0, 10.0, 30.0, 100.0)
    longest = 2

    def _vectorizer(self) -> CountVectorizer:
        return tfidf_ngrams(self.longest)


class NbNgrams(_LinearNgrams):
    """Uni- to trigrams weighted by their naive-Bayes log-count ratio, with logistic regression.

    Source: Wang & Manning 2012, "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification"; trigrams and logistic regression after Mesnil et al. 2015 (arXiv 1412.5335).
    """

    name = "nb-ngrams"
    title = "NB-weighted 1–3-grams + logistic regression"
    source = "Wang & Manning 2012, with the trigrams and regression of Mesnil et al. 2015"
    candidates = (0.1, 0.3, 1.0, 3.0, 10.0)
    longest = 3

    def _vectorizer(self) -> CountVectorizer:
        return ngram_marks(self.longest)

    def _ratio(self, features: csr_matrix, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        return log_count_ratio(features, labels == 1)


class FastTextBigrams(Baseline):
    """fastText with word bigrams.

    Source: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification" (arXiv
    1607.01759), with the settings of its script classification-results.sh; the learning rates
    tried are the paper's.
    """

    name = "fasttext"
    title = "fastText bigrams"
    source = "Joulin et al. 2016"
    parameter = "lr"
    candidates = (0.05, 0.1, 0.25, 0.5)
    package = "fasttext-wheel"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def installed(cls) -> bool:
        """Tell whether the package is there; it is an extra."""
        try:
            return importlib.util.find_spec("fasttext") is not None
        except ValueError:  # what Python raises for a module that was barred from importing
            return False

    @property
    def settings(self) -> dict[str, Any]:
        """The options of fastText."""
        return {
            "source": self.source,
            # Here and not among the conditions of all rows: it is an extra, and may come later.
            "package": {self.package: metadata.version(self.package)},
            **_FASTTEXT,
            "tokens": TOKEN_PATTERN,
            "lr tried": list(self.candidates),
        }

    def accuracies(
        self,
        texts: Sequence[str],
        labels: NDArray[np.int64],
        held_out_texts: Sequence[str],
        held_out_labels: NDArray[np.int64],
        *,
        seed: int,
    ) -> dict[float, float]:
        """Fit with every learning rate and give each one's accuracy on the reviews held out."""
        found = {}
        for value in self.candidates:
            self.fit(texts, labels, value=value, seed=seed)
            predicted = self.predict_proba(held_out_texts).argmax(axis=1)
            found[value] = float((predicted == held_out_labels).mean())
        return found

    def fit(
        self, texts: Sequence[str], labels: NDArray[np.int64], *, value: float, seed: int
    ) -> None:
        """Write the texts to a file, as fastText asks, and fit."""
        import fasttext

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "train.txt"
            lines = list(zip(labels, _lines(texts), strict=True))
            # It takes the lines in their order, and the official ones are sorted by label.
            np.random.default_rng(seed).shuffle(lines)
            path.write_text(
                "".join(f"__label__{label} {line}\n" for label, line in lines), encoding="utf-8"
            )
            self._model = fasttext.train_supervised(
                input=str(path), lr=value, thread=self.threads, seed=seed, verbose=0, **_FASTTEXT
            )

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of either class for every text, (N, 2)."""
        probabilities = np.zeros((len(texts), 2))
        for row, line in enumerate(_lines(texts)):
            # Not `predict`: NumPy 2 broke it in 0.9.2 for a text, and for a list it gives the
            # largest share to every label.
            for share, name in self._model.f.predict(f"{line}\n", 2, 0.0, "strict"):
                probabilities[row, int(name.removeprefix("__label__"))] = share
        # It rounds them up to 1.00001.
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def save(self, folder: Path) -> None:
        """Write fastText's own file."""
        self._model.save_model(str(folder / "model.bin"))


def _scaled(features: csr_matrix, ratio: NDArray[np.float64] | None) -> csr_matrix:
    return features if ratio is None else csr_matrix(features.multiply(ratio))


def _regression(
    features: csr_matrix, labels: NDArray[np.int64], value: float, seed: int
) -> LogisticRegression:
    # The dual is the fast one where there are many more features than reviews.
    return LogisticRegression(
        C=value, solver="liblinear", dual=True, max_iter=1000, random_state=seed
    ).fit(features, labels)


def _lines(texts: Sequence[str]) -> Iterable[str]:
    """Tokens of every text, separated by spaces, on one line."""
    return (" ".join(_TOKEN.findall(clean(text))) for text in texts)
