from __future__ import annotations

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from sentiment_lstm.passages import cut_into_passages
from sentiment_lstm.text import without_markup
from sentiment_lstm.tokens import load_tokenizer, token_lengths
from tests.real_reviews import balanced_reviews

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})


def cut(*texts: str, length_tokens: int) -> list[str]:
    source = Dataset.from_dict({"text": texts, "label": [-1] * len(texts)}, features=FEATURES)
    passages = cut_into_passages(source, load_tokenizer(), length_tokens=length_tokens)
    assert passages.features == FEATURES
    assert set(passages["label"]) == {-1}
    return list(passages["text"])


@pytest.mark.parametrize("length_tokens", [8, 50, 120])
def test_passages_hold_every_word_in_its_order_and_are_about_equally_long(
    length_tokens: int,
):
    tokenizer = load_tokenizer()
    for row in balanced_reviews(16, 4)["train"]:
        passages = cut(row["text"], length_tokens=length_tokens)
        plain = " ".join(without_markup(row["text"]).split())
        assert " ".join(passages) == plain
        tokens = len(tokenizer.tokenize(plain))
        assert len(passages) == -(-tokens // length_tokens)
        lengths = token_lengths(tokenizer, passages) - 2
        # The longest words between spaces have some pieces, and stay whole.
        longest = max(len(tokenizer.tokenize(word)) for word in plain.split())
        assert lengths.max() <= length_tokens + longest
        assert lengths.max() - lengths.min() <= 2 * longest


def test_a_short_text_is_one_passage():
    assert cut("Fine.<br /><br />Just  fine.", length_tokens=10) == ["Fine. Just fine."]


def test_the_passages_of_a_text_stand_before_those_of_the_next():
    assert cut("one two three four", "five six", length_tokens=2) == [
        "one two",
        "three four",
        "five six",
    ]


def test_a_text_without_white_space_is_cut_between_tokens():
    text = "这部电影非常好看我很喜欢"
    passages = cut(text, length_tokens=5)
    assert len(passages) == 3
    assert "".join(passages) == text


def test_a_text_of_which_no_token_is_known_is_kept():
    assert cut("\u200b", length_tokens=5) == ["\u200b"]
