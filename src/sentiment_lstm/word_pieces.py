"""Texts into word pieces, each word tokenized once: most words have been seen before.

A tokenizer of BERT splits a text into words and a word into pieces, and a word's pieces do not
depend on its neighbours. So those of a word are kept, and a text is a search for its words and as
many look-ups: a third of the time that the tokenizer takes.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence
from itertools import chain
from typing import Any

from sentiment_lstm.text import MARKUP_PATTERN, without_markup

__all__ = ["WordPieces", "word_pieces"]

# `BertNormalizer` takes them out, and joins what stands on either side; Python would split at some.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Found in a text as they stand, in capitals.
_SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")
_SPECIAL = re.compile("|".join(map(re.escape, _SPECIAL_TOKENS)))
_MARKUP_RULE = {"type": "Replace", "pattern": {"Regex": MARKUP_PATTERN}, "content": " "}
_BERT_RULE = {
    "type": "BertNormalizer",
    "clean_text": True,
    "handle_chinese_chars": True,
    "strip_accents": None,
    "lowercase": True,
}
# About 20 MB. Of a new review's words, 98 in a hundred are among as many of those before it.
_MOST_WORDS = 65_536
# Longer ones hardly come back, and are whole sentences where the writing has no spaces.
_LONGEST_WORD = 32


class WordPieces:
    """The token ids of texts; several threads may ask at once.

    Args:
        tokenizer: of `tokenizers`, as :func:`word_pieces` has checked it.
        cleans_markup: whether it takes `<br />` for a space.
    """

    def __init__(self, tokenizer: Any, *, cleans_markup: bool) -> None:  # noqa: ANN401
        self._tokenizer = tokenizer
        self._cleans_markup = cleans_markup
        self._known: dict[str, list[int]] = {}
        around = tokenizer.encode("").ids  # [CLS] and [SEP], or nothing
        self._first, self._last = around[: len(around) // 2], around[len(around) // 2 :]

    def encode(self, text: str) -> list[int] | None:
        """Give the ids of a text, those around it included.

        Returns:
            What the tokenizer gives; None for the rare text that names a special token.
        """
        if "[" in text and _SPECIAL.search(text):
            return None
        words = self._split(text)
        known = self._known
        try:
            pieces = [known[word] for word in words]
        except KeyError:
            known = self._learn(words)
            pieces = [known[word] for word in words]
        return [*self._first, *chain.from_iterable(pieces), *self._last]

    def _split(self, text: str) -> list[str]:
        """Split where BERT's tokenizer does in any case: at white space and at ASCII punctuation.

        What else it would split, such as Chinese characters, it still does word by word.
        """
        if self._cleans_markup and "<" in text:
            text = without_markup(text)
        text = _CONTROL.sub("", text)
        if text.isascii():  # beyond, Python and the tokenizer differ in what a small letter is
            text = text.lower()
        # Faster than a regular expression that finds the words: most marks are in no text.
        for mark in string.punctuation:
            if mark in text:
                text = text.replace(mark, f" {mark} ")
        return text.split()

    def _learn(self, words: Sequence[str]) -> dict[str, list[int]]:
        """Tokenize the words that are not known yet, and give those of this text."""
        known = self._known
        found = {word: known[word] for word in words if word in known}
        missing = list(dict.fromkeys(word for word in words if word not in found))
        # Together, as one text of so many words: a batch of words would be shared out to threads.
        (encoded,) = self._tokenizer.encode_batch(
            [missing], is_pretokenized=True, add_special_tokens=False
        )
        fresh: dict[str, list[int]] = {word: [] for word in missing}
        for place, piece in zip(encoded.word_ids, encoded.ids, strict=True):
            fresh[missing[place]].append(piece)
        kept = {word: ids for word, ids in fresh.items() if len(word) <= _LONGEST_WORD}
        if len(known) + len(kept) > _MOST_WORDS:
            # Begun anew, so that the words of another domain find room.
            self._known = known = {}
        if len(kept) <= _MOST_WORDS:
            known.update(kept)
        return {**found, **fresh}


def word_pieces(tokenizer: Any) -> WordPieces | None:  # noqa: ANN401
    """Give the word pieces of a tokenizer, where it treats words as BERT's uncased one does.

    Args:
        tokenizer: of `tokenizers`.

    Returns:
        None for any other tokenizer.
    """
    rules = _state(tokenizer.normalizer)
    rules = rules.get("normalizers", [rules])
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    fits = (
        rules in ([_BERT_RULE], [_MARKUP_RULE, _BERT_RULE])
        and _state(tokenizer.pre_tokenizer) == {"type": "BertPreTokenizer"}
        and special == set(_SPECIAL_TOKENS)
        and tokenizer.num_special_tokens_to_add(False) in (0, 2)
    )
    return WordPieces(tokenizer, cleans_markup=len(rules) == 2) if fits else None


def _state(part: Any) -> dict[str, Any]:  # noqa: ANN401
    return json.loads(part.__getstate__()) if part is not None else {}
