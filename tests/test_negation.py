from __future__ import annotations

import math

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from sentiment_lstm.negation import (
    denying_turns_labels,
    draw_clauses,
    find_clauses,
    opposite,
    polar_words,
)

POLAR = {"dull": -1.5, "bad": -1.0, "wonderful": 1.5, "great": 0.7}


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
    assert polar.keys() == {"dull", "grand"}, "`film` is in both, `rare` in too few"
    assert polar["dull"] == pytest.approx(math.log((1 / 37) / (31 / 32)))
    assert polar["grand"] == pytest.approx(math.log((31 / 37) / (1 / 32)))


@pytest.mark.parametrize(
    ("denied", "turns"),
    [
        pytest.param([0, 1], True, id="what is not dull is great"),
        pytest.param([1, 0], False, id="what is not about the one is about it all the same"),
        pytest.param([], False, id="nothing is denied"),
    ],
)
def test_denying_turns_labels_where_the_reviews_say_so(denied: list[int], turns: bool):
    texts = ["The plot was dull."] * 30 + ["The songs were really great."] * 30
    labels = [0] * 30 + [1] * 30
    for label in denied:
        said = "It isn't so great." if label == denied[0] else "It was not dull."
        texts += [said] * 9
        labels += [label] * 9
    assert denying_turns_labels(reviews(texts, labels), POLAR) is turns


def test_a_few_reviews_do_not_show_that_denying_turns_labels():
    texts = ["The plot was dull."] * 30 + ["It was not dull."]
    assert not denying_turns_labels(reviews(texts, [0] * 30 + [1]), POLAR)


def test_an_unlabelled_review_gives_the_clauses_of_both_sides():
    text = "The plot was dull. The songs were great."
    assert [text for text, _ in clauses(text, -1)] == [
        "The plot was dull.",
        "The songs were great.",
    ]


@pytest.mark.parametrize(
    ("weak", "strong"),
    [
        ("The film was bad.", "The film was dull."),
        ("The film was dull.", "The film was very dull."),
        ("The film was great.", "The film was so great."),
        ("The film was great.", "The film was wonderful."),
    ],
)
def test_a_stronger_word_and_an_adverb_to_it_make_a_clause_surer(weak: str, strong: str):
    random = np.random.default_rng(0)
    [less], [more] = (find_clauses(text, -1, POLAR, random) for text in (weak, strong))
    assert abs(more.log_odds) > abs(less.log_odds)
    assert np.sign(more.log_odds) == np.sign(less.log_odds)


def test_the_opposite_is_said_a_little_less_surely():
    said = np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]], dtype=np.float32)
    turned = opposite(said)
    np.testing.assert_allclose(turned, [[0.18, 0.82], [0.5, 0.5], [0.9, 0.1]], atol=1e-6)
    assert turned.dtype == np.float32


def test_every_clause_stands_once_as_it_is_and_once_denied_with_the_other_label():
    texts = [f"The {noun} was dull." for noun in "abcdefghijklmnopqrstuvwxyz"]
    texts += [f"The {noun} was great." for noun in "abcdefghijklmnopqrstuvwxyz"]
    source = reviews(texts + texts, ([0] * 26 + [1] * 26) * 2)
    drawn = draw_clauses(source, 1_000, polar=POLAR)
    assert sorted(drawn.affirmed["text"]) == sorted(texts)
    assert [1 - label for label in drawn.affirmed["label"]] == list(drawn.denied["label"])
    for text, label in zip(drawn.affirmed["text"], drawn.affirmed["label"], strict=True):
        assert ("great" in text) == label
    np.testing.assert_array_equal(drawn.probabilities.argmax(1), drawn.affirmed["label"])
    np.testing.assert_allclose(drawn.probabilities.sum(1), 1, rtol=1e-6)
    fewer = draw_clauses(source, 10, polar=POLAR)
    assert fewer.affirmed["text"][:] == drawn.affirmed["text"][:10], "in the same order every time"


def test_unlabelled_reviews_serve_where_the_labelled_ones_hold_too_few():
    labelled = [f"The {noun} was dull." for noun in "abcdefghijklmnopqrstuvwxyz"]
    source = reviews(labelled, [0] * 26)
    more = reviews([f"The {noun} side was dull." for noun in "abcdef"], [-1] * 6)
    assert len(draw_clauses(source, 28, polar=POLAR).affirmed) == 26
    drawn = draw_clauses(source, 28, polar=POLAR, unlabelled=more)
    assert sum(" side " in text for text in drawn.affirmed["text"]) == 2
    assert drawn.affirmed["label"][:] == [0] * 28
    fewer = draw_clauses(source, 9, polar=POLAR, unlabelled=more)
    assert not any(" side " in text for text in fewer.affirmed["text"])
