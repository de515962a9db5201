from __future__ import annotations

import numpy as np
import pytest

from sentiment_lstm.ordinal import expected_values, in_order, label_values, ordinal_targets


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "2", "1"], ("1", "2", "10")),
        (["5", "-1", "0"], ("-1", "0", "5")),
        (["10 stars", "2 stars", "1 star"], ("1 star", "2 stars", "10 stars")),
        (["4.5", "10", "4"], ("4", "4.5", "10")),
        (["3★", "1★", "20★"], ("1★", "3★", "20★")),
        (["10 good", "9", "-2.5 bad"], ("-2.5 bad", "9", "10 good")),
        (["10 stars", "2 stars", "none"], ("10 stars", "2 stars", "none")),
        (["3D", "20D"], ("20D", "3D")),
        (["10th", "9th"], ("10th", "9th")),
        (["1.5e3", "2"], ("1.5e3", "2")),
        (["1 star", "1 point", "0"], ("0", "1 point", "1 star")),
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["neutral", "bad"], ("bad", "neutral")),
    ],
)
def test_labels_are_sorted_by_their_number_where_all_begin_with_one(
    labels: list[str], expected: tuple[str, ...]
):
    assert in_order(labels) == expected
    assert in_order(reversed(labels)) == expected
    assert in_order([*labels, *labels]) == expected


def test_values_are_the_numbers_that_the_labels_begin_with():
    assert label_values(["1 star", "2.5 stars", "-3"]).tolist() == [1.0, 2.5, -3.0]
    assert label_values(["1 star", "many stars"]) is None
    assert label_values(["1st", "2nd"]) is None


def test_targets_fall_by_one_factor_with_every_class_of_distance():
    targets = ordinal_targets(5, slope=1.5)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(targets[2, 1] / targets[2, 2], np.exp(-1.5), rtol=1e-6)
    np.testing.assert_allclose(targets[2, 0] / targets[2, 2], np.exp(-3.0), rtol=1e-6)
    np.testing.assert_allclose(targets[0], targets[4, ::-1], rtol=1e-6)
    assert targets.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert targets.dtype == np.float32


def test_a_steep_slope_gives_class_ids_and_a_flat_one_nothing():
    np.testing.assert_allclose(ordinal_targets(4, slope=99.0), np.eye(4), atol=1e-30)
    np.testing.assert_allclose(ordinal_targets(4, slope=1e-9), np.full((4, 4), 0.25), rtol=1e-6)


def test_the_expected_value_weighs_the_numbers_by_their_probability():
    probabilities = np.array([[0.5, 0.0, 0.5], [0.0, 0.9, 0.1]])
    np.testing.assert_allclose(expected_values(probabilities, ["1", "2", "5"]), [3.0, 2.3])
    assert expected_values(probabilities, ["bad", "fine", "good"]) is None
