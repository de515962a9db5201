from __future__ import annotations

import math

import numpy as np
import pytest

from sentiment_lstm.abstention import (
    abstain_below,
    check_threshold,
    coverage_at_accuracy,
    read_threshold,
    risk_coverage_area,
    risk_coverage_curve,
    target_thresholds,
)
from sentiment_lstm.errors import ModelError, TextError

# From the surest: right, right, wrong, right; then two of one confidence, of which one is wrong.
CONFIDENCE = [0.6, 0.95, 0.8, 0.9, 0.7, 0.6]
RIGHT = [True, True, False, True, True, False]
KEPT = {"0.95": 0.82, "0.98": 0.94, "0.99": None}


def test_the_curve_is_counted_by_hand_and_reviews_of_one_confidence_are_one_point():
    curve = risk_coverage_curve(CONFIDENCE, RIGHT)
    assert curve.threshold.tolist() == [0.95, 0.9, 0.8, 0.7, 0.6]
    assert curve.coverage.tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 1])
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 6])


def test_the_area_is_the_mean_risk_over_all_coverages():
    without_ties = ([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    assert risk_coverage_area(*without_ties) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_the_area_counts_ties_in_every_order():
    orders = [([0.9, 0.6, 0.6], right) for right in ([1, 0, 1], [1, 1, 0])]
    strict = [risk_coverage_area([0.9, 0.61, 0.6], right) for _, right in orders]
    for confidence, right in orders:
        assert risk_coverage_area(confidence, right) == pytest.approx(np.mean(strict))


def test_confidence_that_is_no_help_has_the_error_rate_as_its_area():
    assert risk_coverage_area([0.7] * 10, [True] * 8 + [False] * 2) == pytest.approx(0.2)
    random = np.random.default_rng(0)
    right = random.random(50_000) < 0.8
    assert risk_coverage_area(random.random(50_000), right) == pytest.approx(0.2, abs=0.02)


def test_the_order_of_the_reviews_is_of_no_matter():
    backwards = (CONFIDENCE[::-1], RIGHT[::-1])
    assert risk_coverage_area(*backwards) == pytest.approx(risk_coverage_area(CONFIDENCE, RIGHT))
    assert risk_coverage_curve(*backwards).risk.tolist() == pytest.approx(
        risk_coverage_curve(CONFIDENCE, RIGHT).risk.tolist()
    )


@pytest.mark.parametrize(
    ("target", "coverage", "threshold"),
    [(1.0, 2 / 6, 0.9), (0.75, 4 / 6, 0.7), (0.7, 4 / 6, 0.7), (0.6, 1.0, 0.6)],
)
def test_the_largest_coverage_counts_even_where_a_smaller_one_fell_short(
    target: float, coverage: float, threshold: float
):
    # At 0.8, only two of three are right; at 0.7, three of four are.
    found = coverage_at_accuracy(risk_coverage_curve(CONFIDENCE, RIGHT), target)
    assert found.coverage == pytest.approx(coverage)
    assert found.threshold == threshold
    assert found.accuracy is not None
    assert found.accuracy >= target - 1e-9


@pytest.mark.parametrize("target", [0.95, 0.98, 0.99])
def test_a_target_that_is_met_exactly_is_met(target: float):
    wrong = round(100 * (1 - target))
    found = coverage_at_accuracy(
        risk_coverage_curve([0.8] * 100, [True] * (100 - wrong) + [False] * wrong), target
    )
    assert found.coverage == 1


def test_a_tie_cannot_be_parted_to_reach_a_target():
    found = coverage_at_accuracy(risk_coverage_curve([0.9, 0.9], [True, False]), 0.95)
    assert (found.coverage, found.threshold, found.accuracy) == (None, None, None)


@pytest.mark.parametrize("reviews", [1, 7])
def test_all_right_is_answered_whole_and_all_wrong_not_at_all(reviews: int):
    confidence = np.linspace(0.6, 0.9, reviews)
    right = coverage_at_accuracy(risk_coverage_curve(confidence, [True] * reviews), 0.99)
    assert (right.coverage, right.threshold) == (1.0, 0.6)
    wrong = coverage_at_accuracy(risk_coverage_curve(confidence, [False] * reviews), 0.99)
    assert wrong.coverage is None
    assert risk_coverage_area(confidence, [True] * reviews) == 0
    assert risk_coverage_area(confidence, [False] * reviews) == 1


def test_a_threshold_for_other_reviews_needs_enough_answers_to_tell():
    kept = target_thresholds(np.linspace(0.9, 0.6, 50), [True] * 50)
    assert kept == {"0.95": 0.6, "0.98": 0.6, "0.99": None}  # 50 answers show no 1 in 100
    assert target_thresholds([0.9] * 100, [True] * 100)["0.99"] == 0.9
    assert target_thresholds([0.9], [True]) == dict.fromkeys(("0.95", "0.98", "0.99"))


def test_a_threshold_that_too_few_reviews_answered_is_said_to_be_so():
    kept = target_thresholds(np.linspace(0.9, 0.6, 50), [True] * 50)
    with pytest.raises(ModelError, match="99% on 100 or more of its validation reviews, and fewer"):
        read_threshold("99%", folder="m", thresholds=kept)
    assert read_threshold("98%", folder="m", thresholds=kept) == 0.6


def test_a_threshold_from_one_half_holds_on_the_other():
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1, size=40_000)
    right = random.random(40_000) < confidence
    for target, threshold in target_thresholds(
        confidence[:20_000], right[:20_000], [0.9, 0.95]
    ).items():
        found = abstain_below(confidence[20_000:], right[20_000:], threshold or 0)
        assert found.accuracy == pytest.approx(float(target), abs=0.01)


def test_abstaining_counts_answers_and_the_errors_it_avoids():
    found = abstain_below(CONFIDENCE, RIGHT, 0.7)
    assert (found.reviews, found.answered, found.errors, found.errors_avoided) == (6, 4, 2, 1)
    assert (found.coverage, found.accuracy) == (pytest.approx(4 / 6), 0.75)  # 0.7 itself answers


def test_the_ends_of_the_range_withhold_nothing_and_all_but_certainty():
    assert abstain_below(CONFIDENCE, RIGHT, 0).answered == 6
    nothing = abstain_below(CONFIDENCE, RIGHT, 1)
    assert (nothing.answered, nothing.accuracy, nothing.errors_avoided) == (0, None, 2)
    assert abstain_below([1.0], [True], 1).answered == 1


@pytest.mark.parametrize(
    ("confidence", "right", "message"),
    [([], [], "no reviews"), ([0.5], [], "shapes"), ([[0.5]], [[True]], "shapes")],
)
@pytest.mark.parametrize("measure", [risk_coverage_curve, risk_coverage_area, target_thresholds])
def test_what_does_not_fit_is_an_error(measure, confidence, right, message: str):
    with pytest.raises(ValueError, match=message):
        measure(confidence, right)


@pytest.mark.parametrize(
    ("written", "threshold"),
    [("0.9", 0.9), (" 1 ", 1.0), ("0", 0.0), ("95%", 0.82), ("95 %", 0.82), ("98.0%", 0.94)],
)
def test_a_confidence_is_taken_as_it_is_and_a_percentage_is_looked_up(
    written: str, threshold: float
):
    assert read_threshold(written, folder="m", thresholds=KEPT) == threshold


@pytest.mark.parametrize(
    "written", ["1.5", "-0.1", "nan", "90", "high", "", "1e999", "0%", "101%", "-5%", "--", "9%%"]
)
def test_anything_else_is_refused(written: str):
    with pytest.raises(TextError, match=r"--abstain is .*expected a confidence from 0 to 1"):
        read_threshold(written, folder="m", thresholds=KEPT)


@pytest.mark.parametrize(
    ("written", "thresholds", "message"),
    [
        ("99%", {}, r"^m: keeps no thresholds .*--abstain 99% cannot be looked up"),
        ("97%", KEPT, r"^m: keeps no threshold for an accuracy of 97%, only for 95%, 98%, 99%\."),
        ("99%", KEPT, r"^m: no confidence gave an accuracy of 99% on 100 or more of .*too few"),
        ("95%", {"0.95": "high"}, r"^m: the threshold for .* 95% is 'high', expected"),
        ("95%", {"0.95": 7}, r"^m: the threshold for .* 95% is 7, expected"),
    ],
)
def test_a_folder_that_cannot_answer_says_why(written: str, thresholds: dict, message: str):
    with pytest.raises(ModelError, match=message):
        read_threshold(written, folder="m", thresholds=thresholds)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan, "0.9"])
def test_a_threshold_that_is_no_confidence_is_refused(threshold):
    with pytest.raises(TextError, match="expected a confidence from 0 to 1"):
        check_threshold(threshold)
