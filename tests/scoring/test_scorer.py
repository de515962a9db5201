from __future__ import annotations

from pathlib import Path

import pytest

from sentiment_lstm import runtime
from sentiment_lstm.errors import ModelError
from sentiment_lstm.scoring import BatchScorer

TEXTS = ["A wonderful film.", None, "dreadful", "  ", 7, "\ud800", "x" * 2_000_001, "not bad"]
GOOD = [0, 2, 7]


def test_a_batch_says_what_the_classifier_says(exported: Path):
    scored = BatchScorer(exported)(TEXTS)
    expected = runtime.load(exported, threads=1).predict([TEXTS[place] for place in GOOD])
    for place, prediction in zip(GOOD, expected, strict=True):
        assert scored.columns["label"][place] == prediction.label
        assert scored.columns["confidence"][place] == round(prediction.confidence, 6)
        assert scored.columns["truncated"][place] is False


def test_what_cannot_be_scored_is_told_by_its_place(exported: Path):
    scored = BatchScorer(exported)(TEXTS)
    assert sorted(scored.faults) == [1, 3, 4, 5, 6]
    assert scored.faults[1].startswith("is null")
    assert scored.faults[3].startswith("is empty")
    assert scored.faults[4].startswith("is int (7)")
    assert "surrogate" in scored.faults[5]
    assert scored.faults[6].startswith("has 2,000,001 characters, more than the 2,000,000")
    assert [scored.columns["label"][place] for place in scored.faults] == [None] * 5


def test_spans_point_into_the_text(exported: Path):
    text = "Une étude 🙂 dreadful film, not good<br />at all"
    scored = BatchScorer(exported, explain=True)([text, None])
    spans, nothing = scored.columns["spans"]
    assert nothing is None
    assert 1 <= len(spans) <= 5
    assert [text[span["start"] : span["end"]] for span in spans] == [span["text"] for span in spans]
    pulls = [abs(span["score"]) for span in spans]
    assert pulls == sorted(pulls, reverse=True)


def test_a_label_that_is_not_sure_is_withheld(exported: Path):
    columns = BatchScorer(exported, abstain=1.0)(["A film."]).columns
    assert columns["label"] == [None]
    assert columns["confidence"][0] < 1


def test_a_model_that_was_not_exported_is_refused(trained: Path):
    with pytest.raises(ModelError, match="Run `sentiment-lstm export` on it"):
        BatchScorer(trained)
