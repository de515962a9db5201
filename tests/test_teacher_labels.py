from __future__ import annotations

import pytest

from sentiment_lstm.errors import ModelError
from sentiment_lstm.teacher_labels import label_order

STARS = ["1 star", "2 stars", "3 stars"]


@pytest.mark.parametrize(
    ("theirs", "ours", "order"),
    [
        (["negative", "positive"], ["negative", "positive"], [0, 1]),
        (["POSITIVE", "Negative"], ["negative", "positive"], [1, 0]),
        (["pos", "neg"], ["Negative", "Positive"], [1, 0]),
        (["positive", "negative"], ["NEG", "POS"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["bad", "good"], [0, 1]),
        (["LABEL_2", "LABEL_0", "label_1"], STARS, [1, 2, 0]),
        (["3 stars", "1 star", "2 stars"], STARS, [1, 2, 0]),
        (["LABEL_1", "LABEL_0"], ["label_1", "label_0"], [0, 1]),
    ],
)
def test_columns_are_found_by_name(theirs: list[str], ours: list[str], order: list[int]):
    found = label_order(theirs, ours, teacher="it")
    assert found.tolist() == order


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["joy", "anger"], ["negative", "positive"]),
        (["negative", "neutral", "positive"], ["negative", "positive"]),
        (["negative", "positive"], ["negative", "neutral", "positive"]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["negative", "positive"]),
        (["LABEL_1", "LABEL_2"], ["negative", "positive"]),
        (["LABEL_0", "LABEL_0"], ["negative", "positive"]),
        (["negative", "negative"], ["negative", "positive"]),
        (["LABEL_0"], ["negative", "positive"]),
        (["positive", "negative"], ["neg", "negative"]),
        ([], ["negative", "positive"]),
    ],
)
def test_other_labels_are_refused_with_both_sets(theirs: list[str], ours: list[str]):
    with pytest.raises(ModelError) as refusal:
        label_order(theirs, ours, teacher="runs/teacher")
    message = str(refusal.value)
    assert message.startswith("runs/teacher: the teacher's labels are ")
    for name in (*theirs, *ours):
        assert repr(name) in message
