"""The pull of each word: how far the log-odds of a class fall when the word is taken out."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.text import MARKUP_PATTERN, check_texts, is_blank

__all__ = ["TokenScore", "cut_out", "occlusion", "word_spans"]

_CHUNK = re.compile(rf"{MARKUP_PATTERN}|\S+?(?={MARKUP_PATTERN}|\s|$)")
# What is left of a text whose only word is taken out; classifiers refuse an empty one.
_NOTHING = "."
# Keeps the log-odds finite where a probability was rounded to 0 or 1.
_SMALLEST = 1e-12
# Of the copies of a text that are scored together, and of all of them.
_BATCH_CHARACTERS = 5_000_000
_MOST_CHARACTERS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class TokenScore:
    """A stretch of a text and its pull on the prediction."""

    start: int  # the first character
    end: int  # behind the last character
    text: str  # what stands between the two
    score: float  # in log-odds: above 0 speaks for the class, below 0 against it

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def occlusion(
    text: str,
    predict_proba: Callable[[list[str]], NDArray[Any]],
    *,
    class_index: int | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
) -> list[TokenScore]:
    """Score each word by the change that its absence makes.

    A word's score is the log-odds of the class with the word minus the log-odds without it, so
    it needs nothing but the classifier's probabilities. The text and its N shortened copies are
    scored some at a time, so that a long text does not fill the memory with itself.

    Args:
        text: what is explained.
        predict_proba: N texts -> (N, C) probabilities, rows that sum to 1.
        class_index: the class to score for. By default the second of two classes, so that the
            signs of all reviews mean the same, and the predicted one of more.
        spans: (start, end) in characters, one a word; by default :func:`word_spans`, several words
            of a very long text together, so that scoring it stays a matter of a minute.

    Returns:
        One score a span, in the order of the spans.

    Raises:
        TextError: the text is blank or not a string.
        ValueError: a span lies outside of the text, the class does not exist, or `predict_proba`
            gives something other than probabilities of that many texts.

    Source: Zeiler & Fergus 2014, "Visualizing and Understanding Convolutional Networks" (arXiv
    1311.2901), who covered parts of pictures; Li, Monroe & Jurafsky 2016, "Understanding Neural
    Networks through Representation Erasure" (arXiv 1612.08220), for words. Log-odds in the place
    of their log-likelihoods, so that a class and its opposite get equal scores of opposite sign.
    """
    [text] = check_texts([text])
    if spans is None:
        spans = _together(word_spans(text), most=max(_MOST_CHARACTERS // len(text), 1))
    for start, end in spans:
        if not 0 <= start < end <= len(text):
            raise ValueError(
                f"The span ({start}, {end}) does not lie within the text's {len(text)} characters."
            )
    found = []
    for batch in _batches([(0, 0), *spans], text):
        texts = [cut_out(text, [span]) for span in batch]
        found.append(_checked(predict_proba(texts), len(texts)))
    probabilities = np.concatenate(found)  # (1 + N, C)
    classes = probabilities.shape[1]
    if class_index is None:
        class_index = 1 if classes == 2 else int(probabilities[0].argmax())
    if not 0 <= class_index < classes:
        raise ValueError(f"class_index is {class_index}; the classifier has {classes} classes.")
    log_odds = _log_odds(probabilities, class_index)  # (1 + N,)
    return [
        TokenScore(start=start, end=end, text=text[start:end], score=float(score))
        for (start, end), score in zip(spans, log_odds[0] - log_odds[1:], strict=True)
    ]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Find the words of a text between white space and line-break marks.

    Punctuation before and behind a word is a span of its own: `("Bad")!` gives `("`, `Bad`, `")!`.
    A script that is written without spaces needs a tokenizer's spans instead.
    """
    spans = []
    for match in _CHUNK.finditer(text):
        if is_blank(match.group()):
            continue
        start, end = match.span()
        while start < end and _is_mark(text[start]):
            start += 1
        while end > start and _is_mark(text[end - 1]):
            end -= 1
        cuts = sorted({match.start(), start, end, match.end()})
        spans += itertools.pairwise(cuts)
    return spans


def _together(spans: list[tuple[int, int]], *, most: int) -> list[tuple[int, int]]:
    """Join neighbours evenly, until there are at most so many."""
    if len(spans) <= most:
        return spans
    groups = np.array_split(np.arange(len(spans)), most)
    return [(spans[group[0]][0], spans[group[-1]][1]) for group in groups]


def _batches(spans: list[tuple[int, int]], text: str) -> Iterator[list[tuple[int, int]]]:
    size = max(_BATCH_CHARACTERS // len(text), 1)
    for start in range(0, len(spans), size):
        yield spans[start : start + size]


def cut_out(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Take stretches out of a text; a full stop stays where nothing else would.

    Args:
        text: that is cut.
        spans: (start, end) in characters, in any order, none over another.
    """
    kept, end = [], 0
    for start, stop in sorted(spans):
        kept.append(text[end:start])
        end = stop
    rest = "".join([*kept, text[end:]])
    return _NOTHING if is_blank(rest) else rest


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _checked(probabilities: NDArray[Any], texts: int) -> NDArray[np.float64]:
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or len(values) != texts or values.shape[1] < 2:
        raise ValueError(
            f"predict_proba gave an array of shape {values.shape} for {texts} texts, expected "
            f"({texts}, number of classes)."
        )
    if not (np.isfinite(values).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("predict_proba gave rows that do not sum to 1, so no probabilities.")
    return values


def _log_odds(probabilities: NDArray[np.float64], class_index: int) -> NDArray[np.float64]:
    """Log-odds (N,) of a class; the others are summed, as 1 - p would lose what p's digits hold."""
    others = np.delete(probabilities, class_index, axis=1).sum(axis=1)
    chosen = np.maximum(probabilities[:, class_index], _SMALLEST)
    return np.log(chosen) - np.log(np.maximum(others, _SMALLEST))
