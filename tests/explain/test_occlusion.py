from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment_lstm.errors import TextError
from sentiment_lstm.explain.occlusion import occlusion, word_spans


def by_words(texts: list[str]) -> NDArray[np.float64]:
    """A classifier whose log-odds are the sum of its words' weights."""
    weights = {"good": 2.0, "bad": -3.0}
    odds = np.array([sum(weights.get(word, 0.0) for word in text.split()) for text in texts])
    positive = 1 / (1 + np.exp(-odds))
    return np.stack([1 - positive, positive], axis=1)


def test_a_words_score_is_its_weight_in_a_classifier_that_adds_weights():
    text = "a good film with a bad end"
    scores = {score.text: score.score for score in occlusion(text, by_words)}
    assert scores["good"] == pytest.approx(2.0)
    assert scores["bad"] == pytest.approx(-3.0)
    assert scores["film"] == pytest.approx(0.0)


def test_spans_point_into_the_text_as_it_was_given():
    text = "Good,<br /><br />not  bad!"
    for score in occlusion(text, by_words):
        assert text[score.start : score.end] == score.text
    words = [text[start:end] for start, end in word_spans(text)]
    assert "Good" in words
    assert "bad" in words
    assert all("br" not in word for word in words)


def test_the_other_class_gets_the_opposite_scores():
    one = occlusion("good film", by_words, class_index=1)
    other = occlusion("good film", by_words, class_index=0)
    assert [score.score for score in one] == pytest.approx([-score.score for score in other])


def test_a_very_long_text_is_scored_in_stretches_and_some_copies_at_a_time():
    words = ["a"] * 40_000
    words[20_000] = "bad"
    calls: list[int] = []

    def counting(texts: list[str]) -> NDArray[np.float64]:
        calls.append(sum(map(len, texts)))
        return by_words(texts)

    scores = occlusion(" ".join(words), counting)
    assert sum(calls) <= 55_000_000
    assert max(calls) <= 5_000_000
    assert 500 < len(scores) < 1_000
    assert (scores[0].start, scores[-1].end) == (0, len(" ".join(words)))
    (bad,) = [score for score in scores if abs(score.score) > 1e-6]
    assert "bad" in bad.text
    assert bad.score == pytest.approx(-3.0)


def test_all_copies_of_a_short_text_are_scored_in_one_call():
    calls: list[int] = []

    def counting(texts: list[str]) -> NDArray[np.float64]:
        calls.append(len(texts))
        return by_words(texts)

    occlusion("one two three", counting)
    assert calls == [4]


def test_given_spans_are_kept_in_their_order():
    scores = occlusion("good bad", by_words, spans=[(5, 8), (0, 4)])
    assert [score.text for score in scores] == ["bad", "good"]


def test_faults_are_named():
    with pytest.raises(TextError, match="empty"):
        occlusion(" ", by_words)
    with pytest.raises(ValueError, match="does not lie within"):
        occlusion("good", by_words, spans=[(0, 9)])
    with pytest.raises(ValueError, match="class_index is 5"):
        occlusion("good", by_words, class_index=5)
