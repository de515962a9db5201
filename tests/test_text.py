from __future__ import annotations

import re

import pytest

from sentiment_lstm.errors import TextError
from sentiment_lstm.text import (
    MARKUP_PATTERN,
    check_texts,
    is_blank,
    sentences,
    shorten,
    with_marks,
    without_markup,
)


@pytest.mark.parametrize("text", ["", "  \n\t", "<br />", " <BR/><br> "])
def test_nothing_but_space_and_line_breaks_is_blank(text: str):
    assert is_blank(text)


@pytest.mark.parametrize("text", ["🙂", "不错", "a<br />", "<brr>", "."])
def test_anything_else_is_not_blank(text: str):
    assert not is_blank(text)


def test_markup_pattern_finds_line_breaks_and_leaves_other_tags():
    found = re.findall(MARKUP_PATTERN, "a<br />b<br/>c<BR >d<b>e</b>")
    assert found == ["<br />", "<br/>", "<BR >"]


def test_texts_come_back_unchanged_and_in_order():
    assert check_texts(iter([" b ", "a\0", "🙂"])) == [" b ", "a\0", "🙂"]


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (["fine", None], "Text 2 is null"),
        (["fine", 3.5], "Text 2 is float (3.5), not a string"),
        (["fine", b"raw"], "Text 2 is bytes"),
        (["", "fine"], "Text 1 is empty"),
        (["<br /> "], "Text 1 is empty"),
        (["half \ud83d"], "Text 1 holds '\\ud83d' at character 5, half of a surrogate pair"),
        ("alone", "got a single one"),
    ],
)
def test_what_cannot_be_classified_is_named_with_its_position(texts: object, complaint: str):
    with pytest.raises(TextError, match=re.escape(complaint)):
        check_texts(texts)


def test_a_text_of_too_many_characters_is_named_with_both_numbers():
    texts = ["a" * 1_000, "b" * 1_001]
    assert check_texts(texts) == texts
    with pytest.raises(TextError, match="Text 2 has 1,001 characters, more than the 1,000 that"):
        check_texts(texts, max_characters=1_000)


def test_blank_texts_pass_when_allowed():
    assert check_texts(["", " "], allow_blank=True) == ["", " "]


def test_shortened_text_is_one_line_within_the_limit():
    assert shorten("Great<br /><br />film,\n really") == "Great film, really"
    assert shorten("word " * 100, 12) == "word word w…"
    assert len(shorten("word " * 100, 80)) <= 80


def test_sentences_end_at_marks_and_markup_but_not_inside_numbers():
    text = 'He said "Run!" and ran. It cost 3.5 million.<br /><br />Why? No idea'
    assert sentences(text) == [
        'He said "Run!"',
        "and ran.",
        "It cost 3.5 million.",
        "Why?",
        "No idea",
    ]
    assert sentences(text, min_words=2, max_words=2) == ["and ran.", "No idea"]


def test_a_line_break_mark_becomes_a_space_or_as_many_as_keep_the_rest_in_place():
    text = "One.<br /><BR>Two <b>and</b> three."
    assert without_markup(text) == "One.  Two <b>and</b> three."
    kept = without_markup(text, keep_offsets=True)
    assert len(kept) == len(text)
    assert kept.index("Two") == text.index("Two")
    assert "br" not in kept.lower()


@pytest.mark.parametrize(
    ("text", "end", "whole"),
    [
        ("cafe\u0301 noir", 4, 5),
        ("\u0641\u064a\u0644\u0645\u0651\u064c", 4, 6),  # Arabic: a letter with two signs
        ("\u2764\ufe0f!", 1, 2),  # a heart, and the sign that makes an emoji of it
        ("cafe noir", 4, 4),
        ("caf\u00e9", 4, 4),
    ],
)
def test_accents_of_their_own_belong_to_the_word_before_them(text: str, end: int, whole: int):
    assert with_marks(text, end) == whole
