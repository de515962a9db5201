from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from numpy.typing import NDArray

from sentiment_lstm.calibration import softmax
from sentiment_lstm.errors import TextError
from sentiment_lstm.metrics import score_predictions, wilson_interval

NAMES = ["negative", "neutral", "positive"]
STARS = ["1", "2", "3", "4", "5"]


def guesses(reviews: int, classes: int) -> tuple[NDArray, NDArray]:
    """Probabilities that are right more often than not, and unequally many labels of each class."""
    random = np.random.default_rng(classes)
    labels = random.choice(
        classes, size=reviews, p=np.arange(1, classes + 1) / sum(range(classes + 1))
    )
    logits = random.normal(size=(reviews, classes))
    logits[np.arange(reviews), labels] += 1.5
    return softmax(logits), labels


@pytest.mark.parametrize("classes", [2, 3, 5, 12])
def test_the_figures_are_those_of_scikit_learn(classes: int):
    probabilities, labels = guesses(500, classes)
    found = score_predictions(probabilities, labels, label_names=[*map(str, range(classes))])
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, average="macro"
    )
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert found.accuracy == sklearn.metrics.accuracy_score(labels, predicted)
    assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))
    assert found.roc_auc == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores, multi_class="ovr")
    )
    assert found.log_loss == pytest.approx(sklearn.metrics.log_loss(labels, probabilities))
    assert found.confusion == sklearn.metrics.confusion_matrix(labels, predicted).tolist()
    assert found.majority_share == (labels == classes - 1).mean()


def test_the_brier_score_is_summed_over_the_classes():
    found = score_predictions([[0.5, 0.3, 0.2]], [1], label_names=NAMES)
    assert found.brier_score == pytest.approx(0.25 + 0.49 + 0.04)


@pytest.mark.parametrize(("right", "total"), [(8, 10), (0, 10), (10, 10), (22_900, 25_000)])
def test_the_interval_is_that_of_wilson(right: int, total: int):
    expected = scipy.stats.binomtest(right, total).proportion_ci(method="wilson")
    assert wilson_interval(right, total) == pytest.approx((expected.low, expected.high))
    low, high = wilson_interval(right, total)
    assert low <= right / total <= high


def test_a_class_without_reviews_leaves_no_area_and_counts_in_no_mean():
    probabilities = softmax(np.random.default_rng(0).normal(size=(50, 3)))
    labels = np.arange(50) % 2
    found = score_predictions(probabilities, labels, label_names=NAMES)
    assert found.roc_auc is None
    assert found.roc_auc_missing == "there is no review of positive"
    assert [curve.label for curve in found.roc] == ["negative", "neutral"]
    assert found.recall == pytest.approx((found.classes[0].recall + found.classes[1].recall) / 2)
    json.dumps(found.to_dict(), allow_nan=False)


def test_reviews_of_one_class_have_no_curve():
    found = score_predictions([[0.9, 0.1], [0.4, 0.6]], [0, 0], label_names=NAMES[:2])
    assert found.roc == []
    assert found.roc_auc is None
    assert found.accuracy == 0.5


def test_curves_are_thinned_but_keep_their_ends_and_their_area():
    probabilities, labels = guesses(20_000, 2)
    (curve,) = score_predictions(probabilities, labels, label_names=NAMES[:2]).roc
    false_rate, true_rate = curve.false_positive_rate, curve.true_positive_rate
    assert len(false_rate) == len(true_rate) == 400
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    assert curve.label == "neutral"
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(curve.area, abs=1e-3)


def test_the_most_confident_mistakes_come_first():
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.05, 0.95], [0.2, 0.8]]
    found = score_predictions(
        probabilities,
        [0, 0, 0, 1, 0],
        label_names=["bad", "good"],
        texts=list("abcde"),
        positions=[10, 20, 30, 40, 50],
        worst=2,
    )
    shown = [(mistake.index, mistake.text, mistake.confidence) for mistake in found.mistakes]
    assert shown == [(20, "b", 0.8), (50, "e", 0.8)]
    assert (found.mistakes[0].label, found.mistakes[0].predicted) == ("bad", "good")


def test_reliability_holds_every_review_once():
    probabilities, labels = guesses(500, 3)
    found = score_predictions(probabilities, labels, label_names=NAMES)
    assert sum(part.reviews for part in found.reliability) == found.reviews == 500
    right = sum(part.accuracy * part.reviews for part in found.reliability)
    assert right == pytest.approx(found.accuracy * 500)
    for part in found.reliability:
        assert part.low <= part.confidence <= part.high
        assert part.accuracy_interval[0] <= part.accuracy <= part.accuracy_interval[1]


def test_the_summary_is_the_figures_without_texts_and_curves():
    probabilities, labels = guesses(50, 2)
    found = score_predictions(probabilities, labels, label_names=NAMES[:2], texts=["secret"] * 50)
    assert "secret" not in json.dumps(found.summary())
    assert found.summary()["accuracy"] == found.accuracy
    assert json.loads(json.dumps(found.to_dict()))["mistakes"][0]["text"] == "secret"


def test_distances_are_measured_where_the_classes_have_an_order():
    probabilities, labels = guesses(500, 5)
    found = score_predictions(probabilities, labels, label_names=STARS, ordinal=True).ordinal
    predicted = probabilities.argmax(axis=1)
    assert found.mean_absolute_error == pytest.approx(
        sklearn.metrics.mean_absolute_error(labels, predicted)
    )
    assert found.quadratic_kappa == pytest.approx(
        sklearn.metrics.cohen_kappa_score(labels, predicted, weights="quadratic")
    )
    assert found.within_one == (np.abs(labels - predicted) < 2).mean()
    assert score_predictions(probabilities, labels, label_names=STARS).ordinal is None


def test_a_miss_by_four_costs_four_misses_by_one():
    near = score_predictions(np.eye(5)[[1, 1, 1, 1]], [0, 0, 2, 2], label_names=STARS, ordinal=True)
    far = score_predictions(np.eye(5)[[4, 0, 2, 2]], [0, 0, 2, 2], label_names=STARS, ordinal=True)
    assert near.ordinal.mean_absolute_error == far.ordinal.mean_absolute_error == 1.0
    assert (near.ordinal.within_one, far.ordinal.within_one) == (1.0, 0.75)


def test_a_class_missing_in_the_test_split_keeps_its_place_in_the_order():
    found = score_predictions(
        np.eye(5)[[0, 4, 4, 0]], [0, 4, 4, 4], label_names=STARS, ordinal=True
    ).ordinal
    assert found.mean_absolute_error == 1.0
    assert found.quadratic_kappa == pytest.approx(0.5)


def test_where_all_is_one_class_there_is_no_kappa():
    found = score_predictions(np.eye(3)[[1, 1]], [1, 1], label_names=NAMES, ordinal=True)
    assert found.ordinal.quadratic_kappa is None
    assert found.ordinal.mean_absolute_error == 0.0
    json.dumps(found.to_dict(), allow_nan=False)


def test_label_names_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="Expected 2 label names, one a column, got 3"):
        score_predictions([[0.5, 0.5]], [0], label_names=NAMES)


@pytest.mark.parametrize("classes", [2, 3])
def test_abstaining_is_measured_on_the_most_probable_class(classes: int):
    probabilities, labels = guesses(500, classes)
    found = score_predictions(probabilities, labels, label_names=NAMES[:classes], abstain=0.8)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    assert found.abstention is not None
    assert found.abstention.accuracy == right[confidence >= 0.8].mean()
    assert found.abstention.errors_avoided == (~right[confidence < 0.8]).sum()
    assert [goal.target for goal in found.coverage_at_accuracy] == [0.99, 0.98, 0.95]
    for goal in found.coverage_at_accuracy:
        if goal.threshold is not None:
            assert right[confidence >= goal.threshold].mean() >= goal.target
            assert (confidence >= goal.threshold).mean() == goal.coverage
    assert found.risk_coverage_area < 1 - found.accuracy
    assert found.risk_coverage.risk[-1] == pytest.approx(1 - found.accuracy)


def test_the_risk_curve_is_thinned_but_keeps_its_ends():
    probabilities, labels = guesses(5000, 2)
    curve = score_predictions(probabilities, labels, label_names=NAMES[:2]).risk_coverage
    assert len(curve.threshold) == len(curve.coverage) == len(curve.risk) == 400
    assert curve.coverage[0] == 1 / 5000
    assert curve.coverage[-1] == 1
    assert curve.threshold == sorted(curve.threshold, reverse=True)


def test_the_summary_keeps_the_coverage_and_leaves_the_curve_out():
    probabilities, labels = guesses(50, 2)
    summary = score_predictions(probabilities, labels, label_names=NAMES[:2]).summary()
    assert summary["coverage_at_accuracy"][0]["target"] == 0.99
    assert summary["abstention"] is None
    assert "risk_coverage" not in summary


def test_a_threshold_out_of_range_is_named():
    with pytest.raises(TextError, match=r"The threshold to abstain below is 1\.5"):
        score_predictions([[0.5, 0.5]], [0], label_names=NAMES[:2], abstain=1.5)
