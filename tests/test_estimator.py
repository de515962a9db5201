"""The estimator keeps scikit-learn's contracts, by scikit-learn's own checks where they apply.

`check_estimator` skips every check that feeds rows of numbers as soon as an estimator's tags say
that it takes strings. `NumbersAsText` writes each number as a word, so that those checks run too.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from datasets import DatasetDict
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from sentiment_lstm.errors import DataError, RecipeError, TextError
from sentiment_lstm.estimator import SentimentClassifier

SMALL = [
    "model.embedding_size=8",
    "model.hidden_size=8",
    "model.pretrained_embeddings=false",
    "model.ngram_buckets=4096",
    "pretraining.objective=none",
    "training.epochs=1",
    "training.batch_size=16",
    "training.learning_rate=1e-2",
    "training.adversarial_epsilon=0.0",
]
GOOD, BAD = "a fine film , finely acted", "a dull film , dully acted"


@pytest.fixture(scope="module")
def texts(sentences: DatasetDict) -> list[str]:
    return sentences["train"]["text"][:120]


@pytest.fixture(scope="module")
def labels(sentences: DatasetDict) -> NDArray:
    return np.array(["bad", "good"])[sentences["train"]["label"][:120]]


def small(**settings: object) -> SentimentClassifier:
    return SentimentClassifier(**{"overrides": SMALL, "random_state": 0, **settings})


def test_it_learns_and_speaks_in_the_labels_it_was_given():
    names = np.array(["praise", "blame"] * 40)
    model = small(overrides=[*SMALL, "training.epochs=10"]).fit([GOOD, BAD] * 40, names)
    assert model.predict([BAD, GOOD]).tolist() == ["blame", "praise"]
    assert model.classes_.tolist() == ["blame", "praise"]
    probabilities = model.predict_proba([BAD, GOOD])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == [0, 1]).all()
    assert (np.sign(model.decision_function([BAD, GOOD])) == [-1, 1]).all()
    assert model.score([GOOD, BAD], ["praise", "blame"]) == 1.0


def test_three_classes_of_integers():
    marks = {3: "good", 1: "bad", 2: "middling"}
    numbers = np.array([3, 1, 2] * 30)
    rows = [f"a {marks[number]} film" for number in numbers]
    model = small(overrides=[*SMALL, "training.epochs=15"]).fit(rows, numbers)
    assert model.classes_.tolist() == [1, 2, 3]
    assert model.predict(rows[:3]).tolist() == [3, 1, 2]
    assert model.decision_function(rows[:3]).shape == (3, 3)


def test_the_same_random_state_gives_the_same_probabilities(texts, labels):
    one, same, other = (small(random_state=seed).fit(texts, labels) for seed in (1, 1, 2))
    assert np.array_equal(one.predict_proba(texts), same.predict_proba(texts))
    assert not np.array_equal(one.predict_proba(texts), other.predict_proba(texts))


def test_it_works_in_a_pipeline_and_in_cross_validation(texts, labels):
    pipeline = make_pipeline(FunctionTransformer(lambda rows: [r.upper() for r in rows]), small())
    scores = cross_val_score(pipeline, texts, labels, cv=2)
    assert scores.shape == (2,)
    assert ((scores > 0.2) & (scores <= 1)).all()


def test_a_grid_is_searched_over_its_settings(texts, labels):
    grid = {"overrides": [[*SMALL, f"model.pooling={pooling}"] for pooling in ("mean", "max")]}
    search = GridSearchCV(small(), grid, cv=2).fit(np.array(texts, dtype=object), labels)
    assert search.best_params_["overrides"][-1] in {"model.pooling=mean", "model.pooling=max"}


def test_a_pickled_copy_predicts_the_same(texts, labels):
    model = small().fit(texts, labels)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - it was written one line above
    assert np.array_equal(again.predict_proba(texts), model.predict_proba(texts))


def test_arrays_and_columns_of_texts_are_taken(texts, labels):
    model = small().fit(np.array(texts), labels)
    column = np.array(texts, dtype=object)[:, None]
    assert np.array_equal(model.predict_proba(column), model.predict_proba(texts))


def test_a_folder_keeps_the_model(texts, labels, tmp_path):
    from sentiment_lstm import load

    model = small(output=tmp_path / "model").fit(texts, labels)
    assert np.array_equal(load(tmp_path / "model").predict_proba(texts), model.predict_proba(texts))


def test_few_texts_are_trained_on_without_a_validation_split(caplog):
    model = small().fit([GOOD, BAD, GOOD + " ."], ["good", "bad", "good"])
    assert "without a validation split" in caplog.text
    assert model.predict([GOOD]).shape == (1,)


def test_fitting_is_silent(texts, labels, capfd):
    small().fit(texts, labels)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("rows", "answers", "kind", "message"),
    [
        (["a", None], ["x", "y"], TextError, "Text 2 is null"),
        (["a", " "], ["x", "y"], TextError, "Text 2 is empty"),
        (["a", 3], ["x", "y"], TextError, "Text 2 is int"),
        (["a", "b"], ["x", "x"], DataError, "of one class"),
        (["a", "b", "c"], ["x", "y"], DataError, "3 texts and 2 labels"),
    ],
)
def test_faults_are_named(rows: list, answers: list, kind: type, message: str):
    with pytest.raises(kind, match=message):
        small().fit(rows, answers)


def test_a_wrong_setting_is_named_when_fitting_and_not_before():
    model = small(overrides=["training.epoch=1"])
    with pytest.raises(RecipeError, match="no setting training"):
        model.fit([GOOD, BAD], ["x", "y"])


def test_an_estimator_that_was_not_fitted_says_so():
    with pytest.raises(NotFittedError):
        small().predict(["a"])


def test_a_clone_is_unfitted_and_has_the_same_settings(texts, labels):
    model = small().fit(texts, labels)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "classifier_")


class NumbersAsText(SentimentClassifier):
    """Each number of a row as a word of its column and its size, so that text can carry it."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = False, True
        tags.classifier_tags.poor_score = True
        return tags

    def fit(self, X, y):
        return super().fit(_as_texts(X), y)

    def predict_proba(self, X):
        return super().predict_proba(_as_texts(X))

    def decision_function(self, X):
        return super().decision_function(_as_texts(X))


def _as_texts(rows) -> list[str]:
    return [
        " ".join(
            f"{chr(97 + column % 26)}{round(float(value))}" for column, value in enumerate(row)
        )
        for row in np.asarray(rows)
    ]


NO_ROWS_OF_FEATURES = "a text is no row of features: nothing to count or to compare"
NO_NUMBERS = "numbers are only the test's way of writing texts; the estimator takes none"
NOT_OF_TEXT = {
    "check_n_features_in": NO_ROWS_OF_FEATURES,
    "check_n_features_in_after_fitting": NO_ROWS_OF_FEATURES,
    "check_classifiers_train": NO_ROWS_OF_FEATURES,
    "check_estimators_empty_data_messages": NO_ROWS_OF_FEATURES,
    "check_fit1d": NO_ROWS_OF_FEATURES,
    "check_fit2d_predict1d": NO_ROWS_OF_FEATURES,
    "check_estimators_nan_inf": NO_NUMBERS,
    "check_estimator_sparse_tag": NO_NUMBERS,
    "check_estimator_sparse_array": NO_NUMBERS,
    "check_estimator_sparse_matrix": NO_NUMBERS,
}


@parametrize_with_checks(
    [NumbersAsText(overrides=SMALL, random_state=0)],
    expected_failed_checks=lambda _: NOT_OF_TEXT,
)
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, about the data of its own checks
def test_scikit_learns_checks_with_numbers_written_as_words(estimator, check):
    check(estimator)
