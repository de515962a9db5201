from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from sentiment_lstm import word_pieces as module
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.word_pieces import WordPieces, word_pieces
from tests import contracts
from tests.real_reviews import balanced_reviews

# Every character that either side could take for a space, for nothing, or for a mark.
ODD = [chr(code) for code in range(0x3100) if chr(code).isspace() or not chr(code).isprintable()]
MARKS = [chr(code) for code in range(128) if not chr(code).isalnum()]
LETTERS = [
    "a",
    "Z",
    "é",
    "İ",
    "Σ",
    "ß",
    "中",
    "가",
    "\u0301",
    "\u0338",
    "🎬",
    "\u200d",
    "<br />",
    "[sep]",
]


def make_tokenizer(**options: bool) -> Tokenizer:
    tokenizer = load_tokenizer(**options).backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer(clean_markup=True)


@pytest.fixture(scope="module")
def pieces(tokenizer: Tokenizer) -> WordPieces:
    pieces = word_pieces(tokenizer)
    assert pieces is not None
    return pieces


def reviews(number: int) -> list[str]:
    return [row["text"] for row in balanced_reviews(number, 10)["train"]]


def test_real_reviews_have_the_ids_of_the_tokenizer(pieces: WordPieces, tokenizer: Tokenizer):
    for _ in range(2):  # first as strangers, then as acquaintances
        for text in [*contracts.TEXTS, *reviews(500)]:
            assert pieces.encode(text) == tokenizer.encode(text).ids, text


@given(
    text=st.lists(
        st.sampled_from([*ODD, *MARKS, *LETTERS]) | st.characters(exclude_categories=["Cs"])
    ).map("".join)
)
@example(text="of\x85the end\x97\xa0and\x1fso\x0bon")
@example(text="x" * 150 + " ." + "y" * 33 + "!")
def test_any_text_has_the_ids_of_the_tokenizer(pieces: WordPieces, tokenizer: Tokenizer, text: str):
    assert pieces.encode(text) == tokenizer.encode(text).ids


def test_a_text_that_names_a_special_token_is_left_to_the_tokenizer(pieces: WordPieces):
    assert pieces.encode("It ends with [SEP] and more") is None
    assert pieces.encode("It ends with [sep] and more") is not None


def test_without_the_rule_for_markup_it_is_text():
    tokenizer = make_tokenizer(clean_markup=False)
    pieces = word_pieces(tokenizer)
    assert pieces is not None
    text = "It ends.<br /><br />Badly."
    assert pieces.encode(text) == tokenizer.encode(text).ids
    assert len(tokenizer.encode(text).ids) > len(make_tokenizer(clean_markup=True).encode(text).ids)


def test_it_forgets_before_it_takes_much_memory(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_MOST_WORDS", 10)
    pieces = WordPieces(tokenizer, cleans_markup=True)
    many = " ".join(f"word{number}" for number in range(50))
    for text in [
        "one two three four five six",
        "six seven eight nine ten eleven",
        many,
        "one " * 9,
    ]:
        assert pieces.encode(text) == tokenizer.encode(text).ids
        assert len(pieces._known) <= 10


def test_a_long_word_is_not_kept(tokenizer: Tokenizer):
    pieces = WordPieces(tokenizer, cleans_markup=True)
    text = "short " + "这部电影很好" * 40
    assert pieces.encode(text) == tokenizer.encode(text).ids
    assert sum(map(sys.getsizeof, pieces._known)) < 200


def test_threads_share_it(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST_WORDS", 300)  # forgotten again and again
    pieces = WordPieces(tokenizer, cleans_markup=True)
    texts = reviews(300)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(pieces.encode, texts))
    assert found == [tokenizer.encode(text).ids for text in texts]


def test_another_tokenizer_is_noticed():
    other = make_tokenizer(clean_markup=True)
    other.pre_tokenizer = pre_tokenizers.Whitespace()  # keeps "..." together
    assert word_pieces(other) is None
    cased = make_tokenizer(clean_markup=True)
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    assert word_pieces(cased) is None
    extended = make_tokenizer(clean_markup=True)
    extended.add_tokens(["really good"])  # found across words
    assert word_pieces(extended) is None
