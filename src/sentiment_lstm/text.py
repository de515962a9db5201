"""What a text is: the checks and the markup that every path shares, from training to prediction."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from sentiment_lstm.errors import TextError

if TYPE_CHECKING:
    from _hashlib import HASH as Hash

__all__ = [
    "MARKUP_PATTERN",
    "check_texts",
    "fault",
    "hash_text",
    "is_blank",
    "is_encodable",
    "sentences",
    "shorten",
    "with_marks",
    "without_markup",
]

# IMDB's reviews keep their line breaks as `<br />`. The pattern stays inside what Oniguruma
# (tokenizers), Python and JavaScript read alike, because tokenizer.json carries it to all three.
MARKUP_PATTERN = r"<[bB][rR]\s*/?>"
_MARKUP = re.compile(MARKUP_PATTERN)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"')\]])\s+")


def without_markup(text: str, *, keep_offsets: bool = False) -> str:
    """Give a text with a space in the place of every line-break mark.

    Args:
        text: any.
        keep_offsets: as many spaces as the mark has characters, so that all others stay in place.
    """
    if keep_offsets:
        return _MARKUP.sub(lambda match: " " * len(match.group()), text)
    return _MARKUP.sub(" ", text)


def with_marks(text: str, end: int) -> int:
    """Give the end of a word with the accents and vowel signs that hang on its last letter.

    Args:
        text: in which the word stands.
        end: behind its last letter, where a tokenizer that drops the signs sees its end.
    """
    while end < len(text) and unicodedata.category(text[end]) == "Mn":
        end += 1
    return end


def is_blank(text: str) -> bool:
    """Tell whether nothing is left of a text without its white space and line-break marks."""
    return not without_markup(text).strip()


def is_encodable(text: str) -> bool:
    """Tell whether UTF-8 can encode a text, which it cannot where half a surrogate pair stands."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def hash_text(digest: Hash, text: str, *, mark: str = "") -> None:
    """Add a text to the hash of many.

    Args:
        digest: is changed.
        text: that UTF-8 can encode.
        mark: what else is to be hashed with it, such as its label.
    """
    content = text.encode("utf-8")
    # The length keeps two texts from being read as one that joins them.
    digest.update(f"{mark}{len(content)} ".encode())
    digest.update(content)


def check_texts(
    texts: Iterable[object], *, allow_blank: bool = False, max_characters: int | None = None
) -> list[str]:
    """Return the texts as a list, each of them a string that can be encoded, none of them blank.

    Args:
        texts: any iterable but a single string, which would be read letter by letter.
        allow_blank: let empty and whitespace-only texts pass.
        max_characters: the most that a text may have; None for any number.

    Raises:
        TextError: a text is not a string, is blank or too long, or holds a lone surrogate; the
            message names its position.
    """
    if isinstance(texts, (str, bytes)):
        raise TextError("Expected a list of texts, got a single one. Put it in a list: [text].")
    checked: list[str] = []
    for position, text in enumerate(texts):
        found = fault(text, allow_blank=allow_blank, max_characters=max_characters)
        if found:
            raise TextError(f"Text {position + 1} {found}")
        checked.append(cast(str, text))
    return checked


def fault(
    text: object, *, allow_blank: bool = False, max_characters: int | None = None
) -> str | None:
    """Say why a text cannot be read, as a sentence without its subject; None where it can.

    Args:
        text: what may be a text.
        allow_blank: as in :func:`check_texts`.
        max_characters: as in :func:`check_texts`.
    """
    if not isinstance(text, str):
        kind = "null" if text is None else type(text).__name__
        return f"is {kind} ({text!r:.60}), not a string. Pass only strings."
    if max_characters is not None and len(text) > max_characters:
        return (
            f"has {len(text):,} characters, more than the {max_characters:,} that are read at "
            "once. Cut it into parts."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return (
            f"holds {text[error.start]!r} at character {error.start}, half of a surrogate pair, "
            "which UTF-8 cannot encode. Decode the text again from its source."
        )
    if not allow_blank and is_blank(text):
        return f"is empty ({text!r:.60}). There is nothing to classify."
    return None


def sentences(text: str, *, min_words: int = 1, max_words: int = 40) -> list[str]:
    """Cut a text where a sentence ends: behind `.`, `!` or `?` and white space, and at markup.

    A rule, not a grammar: it also cuts behind "Mr.". What is shorter or longer than asked is left
    out.
    """
    found = []
    for line in _MARKUP.split(text):
        for part in _SENTENCE_END.split(line):
            sentence = " ".join(part.split())
            if min_words <= len(sentence.split()) <= max_words:
                found.append(sentence)
    return found


def shorten(text: str, max_characters: int = 80) -> str:
    """Fold white space and markup to single spaces and cut to one line of a table."""
    line = " ".join(without_markup(text).split())
    return line if len(line) <= max_characters else line[: max_characters - 1].rstrip() + "…"
