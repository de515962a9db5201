"""The same classifier behind scikit-learn's `fit`, `predict` and `predict_proba`."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sentiment_lstm.data import split_reviews
from sentiment_lstm.errors import DataError
from sentiment_lstm.ordinal import in_order
from sentiment_lstm.prediction import Classifier, load
from sentiment_lstm.recipes import Recipe, load_recipe, override
from sentiment_lstm.text import check_texts
from sentiment_lstm.training import train

__all__ = ["SentimentClassifier"]

logger = logging.getLogger(__name__)

_LARGEST_SEED = 2**31 - 1


class SentimentClassifier(ClassifierMixin, BaseEstimator):
    """An LSTM text classifier as a scikit-learn estimator: texts in, labels out.

    Args:
        recipe: a recipe's name, a path to one, or a `Recipe`.
        overrides: settings to change in it, each as ``section.key=value``.
        output: folder in which the trained model stays; None keeps it in memory alone.
        tokenizer: as in `load_tokenizer`; None for the embedded one.
        random_state: of the validation split, the starting weights and the order.
        progress: draw progress bars on standard error.

    Attributes:
        classes_: (C,) the labels, sorted.
        classifier_: the trained `Classifier`.
        n_features_in_: not set; a text is no row of features.
    """

    def __init__(
        self,
        recipe: str | Path | Recipe = "default",
        *,
        overrides: Sequence[str] = (),
        output: str | Path | None = None,
        tokenizer: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.recipe = recipe
        self.overrides = overrides
        self.output = output
        self.tokenizer = tokenizer
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Iterable[str], y: ArrayLike) -> SentimentClassifier:
        """Train on texts.

        Args:
            X: N texts, none of them empty.
            y: (N,) labels of at least two classes.

        Raises:
            TextError: a text is empty or no string.
            DataError: there is a single class, or X and y differ in length.
            RecipeError: the recipe or an override of it is wrong.
        """
        texts = check_texts(_texts(X))
        labels = np.asarray(column_or_1d(y, warn=True))
        check_classification_targets(labels)
        if len(texts) != len(labels):
            raise DataError(
                f"Got {len(texts)} texts and {len(labels)} labels. Give one label a text."
            )
        self.classes_, class_ids = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(
                f"All {len(labels)} labels are of one class ({self.classes_.tolist()}); there must "
                "be two at least. Add texts of another class."
            )
        # `classes_` is sorted as scikit-learn asks, where "10" stands before "2"; the model's
        # classes are in their order, which `training.ordinal` goes by.
        names = list(in_order(map(str, self.classes_)))
        class_ids = np.array([names.index(str(label)) for label in self.classes_])[class_ids]
        seed = int(check_random_state(self.random_state).randint(_LARGEST_SEED))
        reviews = datasets.Dataset.from_dict(
            {"text": texts, "label": class_ids},
            features=datasets.Features(
                {
                    "text": datasets.Value("string"),
                    "label": datasets.ClassLabel(names=names),
                }
            ),
        )
        recipe = self._recipe()
        splits, recipe = _with_validation(reviews, recipe, seed)
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "model" if self.output is None else Path(self.output)
            train(
                splits,
                recipe,
                output,
                seed=seed,
                restart=True,
                tokenizer_source=self.tokenizer,
                evaluate_test=False,
                progress=self.progress,
            )
            self.classifier_ = load(output)
        return self

    def predict(self, X: Iterable[str]) -> NDArray[Any]:
        """Give the most probable label of each text, (N,)."""
        check_is_fitted(self, "classifier_")
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Iterable[str]) -> NDArray[np.float64]:
        """Give the calibrated probability of each label for each text.

        Returns:
            (N, C), columns in the order of `classes_`.

        Raises:
            NotFittedError: the estimator was not fitted.
            TextError: a text is empty or no string.
        """
        check_is_fitted(self, "classifier_")
        classifier: Classifier = self.classifier_
        return classifier.predict_proba(_texts(X))[:, self._columns()]

    def decision_function(self, X: Iterable[str]) -> NDArray[np.float64]:
        """Give the log-odds of the second of two classes (N,), or the logits of more (N, C)."""
        check_is_fitted(self, "classifier_")
        logits = self.classifier_.logits(_texts(X))[:, self._columns()]
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _columns(self) -> list[int]:
        """Where each label of `classes_` stands among the model's."""
        return [self.classifier_.labels.index(str(label)) for label in self.classes_]

    def _recipe(self) -> Recipe:
        recipe = self.recipe if isinstance(self.recipe, Recipe) else load_recipe(self.recipe)
        return override(recipe, list(self.overrides))


def _texts(X: Iterable[str]) -> list[str]:
    """Take texts from a list, an array or a column; anything else is named by `check_texts`."""
    if hasattr(X, "ndim") and X.ndim == 2 and X.shape[1] == 1:  # type: ignore[attr-defined]
        X = np.asarray(X)[:, 0]
    return list(X) if not isinstance(X, (str, bytes)) else X  # type: ignore[return-value]


def _with_validation(
    reviews: datasets.Dataset, recipe: Recipe, seed: int
) -> tuple[datasets.DatasetDict, Recipe]:
    """Hold validation texts out as the recipe says, or none where there are too few to split."""
    size = recipe.training.validation_size
    if not size:
        return datasets.DatasetDict({"train": reviews}), recipe
    try:
        kept, validation = split_reviews(reviews, test_size=size, seed=seed)
    except DataError as error:
        logger.warning("Training without a validation split: %s", error)
        alone = ["training.validation_size=0.0", "training.patience=0", "model.ngram_buckets=0"]
        return datasets.DatasetDict({"train": reviews}), override(recipe, alone)
    return datasets.DatasetDict({"train": kept, "validation": validation}), recipe
