from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.utils.validation import NotFittedError, check_is_fitted

from sentiment_lstm.nb_ngrams import (
    NbLogisticRegression,
    clean,
    log_count_ratio,
    nb_ngrams,
    ngram_marks,
    tfidf,
)

TEXTS = ["a great film", "great , great fun", "an awful film", "awful and dull"] * 5
LABELS = np.array([1, 1, 0, 0] * 5)


def test_the_ratio_is_that_of_the_paper():
    features = csr_matrix(np.array([[1, 0], [1, 1], [0, 1]]))
    inside = np.array([True, True, False])
    # Two and one reviews of the class, none and one of the others, and one more everywhere.
    expected = np.log([(3 / 5) / (1 / 3), (2 / 5) / (2 / 3)])
    np.testing.assert_allclose(log_count_ratio(features, inside), expected)


def test_marks_count_each_ngram_once_and_know_punctuation_case_and_markup():
    vectors = ngram_marks(2)
    row = vectors.fit_transform(["Good<br />GOOD good!"]).toarray()[0]
    assert dict(zip(vectors.get_feature_names_out(), row, strict=True)) == {
        "good": 1, "!": 1, "good good": 1, "good !": 1
    }  # fmt: skip
    assert clean("A<br/>B") == "a b"


def test_weights_are_those_of_a_regression_over_weighted_features():
    vectors = ngram_marks(1)
    features = csr_matrix(vectors.fit_transform(TEXTS))
    fitted = NbLogisticRegression(strength=3.0, random_state=0).fit(features, LABELS)
    ratio = log_count_ratio(features, LABELS == 1)
    weights = dict(zip(vectors.get_feature_names_out(), fitted.coef_[0], strict=True))
    assert weights["great"] > 0.5
    assert weights["awful"] < -0.5
    assert (np.sign(fitted.coef_[0]) * np.sign(ratio) >= 0).all()
    scores = features @ fitted.coef_[0] + fitted.intercept_[0]
    np.testing.assert_allclose(fitted.decision_function(features), scores)
    np.testing.assert_allclose(fitted.predict_proba(features)[:, 1], 1 / (1 + np.exp(-scores)))


@pytest.mark.parametrize("make", [nb_ngrams, tfidf])
def test_pipelines_learn_more_than_two_classes_by_name(make):
    texts = [*TEXTS, *["so so , it is fine"] * 6]
    labels = [*np.array(["bad", "good"])[LABELS], *["middling"] * 6]
    pipeline = clone(make(seed=0)).fit(texts, labels)
    assert pipeline.classes_.tolist() == ["bad", "good", "middling"]
    given = pipeline.predict_proba(["great fun", "awful", "fine , so so"])
    assert given.argmax(1).tolist() == [1, 0, 2]
    np.testing.assert_allclose(given.sum(1), 1)
    assert pipeline.predict(["awful"]).tolist() == ["bad"]


def test_an_estimator_that_is_not_fitted_says_so():
    with pytest.raises(NotFittedError):
        check_is_fitted(nb_ngrams())
    with pytest.raises(NotFittedError):
        NbLogisticRegression().predict_proba(csr_matrix([[1.0]]))


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"two classes or more, found only \[1\]"):
        NbLogisticRegression().fit(csr_matrix([[1.0], [1.0]]), [1, 1])
