"""Word pieces back into words, as stretches of the text they came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Word", "merge_word_pieces"]

# A tokenizer splits at every mark: don't, well-made, 10/10. A reader takes these for one word.
_COMPOUND = re.compile(r"\w+(?:['’\-]\w+)+|\d+(?:[.,:/]\d+)+")


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and the word pieces it was split into."""

    start: int  # the first character
    end: int  # behind the last character
    pieces: tuple[int, ...]  # positions in the token sequence
    punctuation: bool  # nothing but marks


def merge_word_pieces(
    text: str, offsets: Sequence[tuple[int, int]], word_ids: Sequence[int | None]
) -> list[Word]:
    """Put the pieces of a word together, and the words that only an inner mark keeps apart.

    Args:
        text: what was tokenized.
        offsets: (start, end) in characters, one a token.
        word_ids: which word of the tokenizer a token belongs to; None for special tokens.

    Returns:
        The words in the order of the text, punctuation included.
    """
    compounds = [match.span() for match in _COMPOUND.finditer(text)]
    words: list[Word] = []
    keys: list[object] = []
    compound = 0
    for position, ((start, end), word_id) in enumerate(zip(offsets, word_ids, strict=True)):
        piece = text[start:end]
        if word_id is None or not piece.strip():
            continue
        # Some tokenizers count the space before a word as its first character.
        start += len(piece) - len(piece.lstrip())
        while compound < len(compounds) and compounds[compound][1] <= start:
            compound += 1
        inside = compound < len(compounds) and compounds[compound][0] <= start
        if inside:
            key = ("compound", compound)
        elif _is_punctuation(piece):
            key = ("mark", position)  # some tokenizers split at spaces only
        else:
            key = ("word", word_id)
        if keys and keys[-1] == key:
            start = words[-1].start
            pieces = (*words.pop().pieces, position)
        else:
            keys.append(key)
            pieces = (position,)
        words.append(
            Word(start=start, end=end, pieces=pieces, punctuation=_is_punctuation(text[start:end]))
        )
    return words


def _is_punctuation(text: str) -> bool:
    # Symbols (S) such as emoji and currency signs carry meaning of their own and stay words.
    return all(unicodedata.category(character)[0] in "PZC" for character in text)
