from __future__ import annotations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from sentiment_lstm.errors import DataError
from sentiment_lstm.negation import draw_clauses, find_clauses, polar_words

POLAR = {"dull": 0, "bad": 0, "wonderful": 1, "great": 1}


def reviews(texts: list[str], labels: list[int], names: list[str] | None = None) -> Dataset:
    label = ClassLabel(names=names or ["negative", "positive"])
    return Dataset.from_dict(
        {"text": texts, "label": labels},
        features=Features({"text": Value("string"), "label": label}),
    )


def clauses(text: str, label: int) -> list[tuple[str, str]]:
    random = np.random.default_rng(0)
    return [(one.text, one.denied) for one in find_clauses(text, label, POLAR, random)]


@pytest.mark.parametrize(
    ("text", "label", "affirmed"),
    [
        ("The plot was dull.", 0, "The plot was dull."),
        (
            "It drags, and the songs were really wonderful, I thought.",
            1,
            "The songs were really wonderful.",
        ),
        ("This is a great film, with flaws.", 1, "This is a great film."),
        ("But it was bad.", 0, "It was bad."),
    ],
)
def test_a_clause_ends_with_its_adjective_or_with_the_noun_of_it(
    text: str, label: int, affirmed: str
):
    [(found, denied)] = clauses(text, label)
    assert found == affirmed
    assert denied != affirmed
    assert any(word in denied for word in (" not ", "n't ", " never "))
    without = denied.replace(" not ", " ").replace("n't ", " ").replace(" never ", " ")
    assert without.replace(" at all.", ".") == affirmed.replace(" really", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The plot was wonderful.", "speaks for the other label"),
        ("The plot was thin.", "is of no known polarity"),
        ("The plot was not dull.", "is denied already"),
        ("Nothing in it was dull.", "is denied by its subject"),
        ("It was a dull and long film.", "has an article and no noun"),
        ("The plot was dull enough for anybody.", "goes on"),
        ("Was dull.", "has no subject"),
    ],
)
def test_what_is_no_clause_of_the_reviews_label_is_left_alone(text: str, why: str):
    assert clauses(text, 0) == [], why


def test_a_word_is_polar_where_enough_reviews_of_one_label_hold_it():
    texts = ["a dull film"] * 30 + ["a grand film"] * 30 + ["some rare dish"] * 5
    polar = polar_words(reviews(texts, [0] * 30 + [1] * 30 + [1] * 5))
    assert polar == {"dull": 0, "grand": 1}, "`film` is in both, `rare` in too few"


def test_every_clause_stands_once_as_it_is_and_once_denied_with_the_other_label():
    texts = [f"The {noun} was dull." for noun in "abcdefghijklmnopqrstuvwxyz"]
    texts += [f"The {noun} was great." for noun in "abcdefghijklmnopqrstuvwxyz"]
    source = reviews(texts + texts, ([0] * 26 + [1] * 26) * 2)
    affirmed, denied = draw_clauses(source, 1_000)
    assert sorted(affirmed["text"]) == sorted(texts)
    assert [1 - label for label in affirmed["label"]] == list(denied["label"])
    for text, label in zip(affirmed["text"], affirmed["label"], strict=True):
        assert ("great" in text) == label
    fewer, _ = draw_clauses(source, 10)
    assert fewer["text"][:] == affirmed["text"][:10], "drawn in the same order every time"


def test_a_label_can_be_turned_round_where_there_are_two():
    three = reviews(["It was dull."] * 3, [0, 1, 2], names=["bad", "fair", "good"])
    with pytest.raises(DataError, match="takes two of them; these reviews have 3"):
        draw_clauses(three, 5)
