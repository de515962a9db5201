"""Clauses of the reviews, as they stand and denied: "the plot was dull", "the plot wasn't dull".

Whole reviews hardly show that a word which denies turns a clause round: "not bad" stands more often
in negative reviews, and their label is learnt from a hundred other words. A denied clause with the
label turned round shows nothing else. Which clauses bear their review's label is told by the words
themselves: an adjective that is much more frequent under that label than under the other.

Of English alone. After the counterfactual reviews of Kaushik, Hovy & Lipton 2020 (arXiv
1909.12434), which people wrote; here a rule does.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import datasets
import numpy as np

from sentiment_lstm.data import labelled_texts
from sentiment_lstm.errors import DataError
from sentiment_lstm.text import sentences

__all__ = ["Clause", "check_labels", "draw_clauses", "find_clauses", "polar_words"]

# The same clauses whatever the seed of the training, so that soft labels serve all of them.
_SEED = 0
_LEAST_REVIEWS = 20  # that hold a word whose polarity is believed
_LEAST_LOG_ODDS = 0.5
_WORD = re.compile(r"[a-z]+")
# A subject of a few words, a form of "to be", and an adjective or a noun with its adjective, where
# the sentence could end. What stands before and behind is left out.
_CLAUSE = re.compile(
    r"(?:^|[.,;:!?()]\s*|\b(?:and|but|because|that)\s+)"
    r"(?:(?:[Aa]nd|[Bb]ut|[Ss]o|[Tt]hat|[Ww]hile) )?"
    r"(?P<subject>(?:[A-Za-z']+ ){1,5}?)"
    r"(?P<verb>is|was|are|were) "
    r"(?P<adverb>(?:very|really|so|quite|just|pretty|truly|absolutely) )?"
    r"(?P<article>(?:an?|the) )?"
    r"(?P<adjective>[a-z]+)"
    r"(?P<noun> [a-z]+)?"
    r"(?=\s*(?:[.,;:!?()]|$)|\s+(?:and|but|with|because|though|although)\b)"
)
_DENIES = re.compile(
    r"\b(?:not|no|never|nothing|none|nobody|hardly|without)\b|n't\b", re.IGNORECASE
)
# Where the word that denies stands, and what else there may be.
_DENIALS = (
    "{subject}{verb} not {rest}.",
    "{subject}{verb}n't {rest}.",
    "{subject}{verb} never {rest}.",
    "{subject}{verb} not {rest} at all.",
    "{subject}{verb}n't {rest} at all.",
)


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A clause whose adjective speaks for the label of its review."""

    text: str
    denied: str


def check_labels(names: Sequence[str]) -> None:
    """Refuse labels that cannot be turned round.

    Args:
        names: of all classes.

    Raises:
        DataError: there are more of them than two, or fewer.
    """
    if len(names) != 2:
        raise DataError(
            f"training.negations turns a label round, which takes two of them; these reviews have "
            f"{len(names)} ({', '.join(names)}). Set it to 0."
        )


def polar_words(reviews: datasets.Dataset) -> dict[str, int]:
    """Find the words that stand much more often under one of two labels than under the other.

    Args:
        reviews: columns `text` and `label`, 0 or 1.

    Returns:
        By word, in small letters, the label that it speaks for: those in at least 20 reviews whose
        log-odds are beyond 0.5.
    """
    seen: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    totals = [0, 0]
    for text, label in labelled_texts(reviews):
        seen[label].update(set(_WORD.findall(text.lower())))
        totals[label] += 1
    found = {}
    for word in {*seen[0], *seen[1]}:
        counts = [seen[label][word] for label in (0, 1)]
        shares = [(counts[label] + 1) / (totals[label] + 2) for label in (0, 1)]
        odds = math.log(shares[1] / shares[0])
        if sum(counts) >= _LEAST_REVIEWS and abs(odds) >= _LEAST_LOG_ODDS:
            found[word] = int(odds > 0)
    return found


def find_clauses(
    text: str, label: int, polar: Mapping[str, int], random: np.random.Generator
) -> Iterator[Clause]:
    """Find the clauses of a review that say of something that it is good or bad, as its label does.

    Args:
        text: the review.
        label: 0 or 1.
        polar: from :func:`polar_words`.
        random: chooses how each is denied.
    """
    for sentence in sentences(text, min_words=3):
        for match in _CLAUSE.finditer(sentence):
            subject, verb, adverb, article, adjective, noun = match.groups()
            # An article wants its noun, and an adjective without one must end the clause.
            if polar.get(adjective) != label or (article is None) != (noun is None):
                continue
            subject = subject[0].upper() + subject[1:]
            rest = f"{article or ''}{adjective}{noun or ''}"
            affirmed = f"{subject}{verb} {adverb or ''}{rest}."
            if _DENIES.search(affirmed):
                continue
            # Without the adverb: what is not very bad may still be bad.
            form = _DENIALS[int(random.integers(len(_DENIALS)))]
            yield Clause(text=affirmed, denied=form.format(subject=subject, verb=verb, rest=rest))


def draw_clauses(reviews: datasets.Dataset, size: int) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Draw clauses of reviews at random, each once.

    Args:
        reviews: columns `text` and `label`, of two classes.
        size: how many; fewer come back where the reviews hold fewer.

    Returns:
        Two sets of equal size with columns `text` and `label`: the clauses with the label of their
        review, and the same clauses denied, with the other label.

    Raises:
        DataError: there are more classes than two, or fewer.
    """
    check_labels(reviews.features["label"].names)
    random = np.random.default_rng(_SEED)
    polar = polar_words(reviews)
    found: dict[str, tuple[str, int]] = {}
    for text, label in labelled_texts(reviews, random.permutation(len(reviews))):
        if len(found) >= size:
            break
        for clause in find_clauses(text, label, polar, random):
            found.setdefault(clause.text, (clause.denied, label))
    features = datasets.Features({name: reviews.features[name] for name in ("text", "label")})
    affirmed, kept = list(found)[:size], list(found.values())[:size]
    denied, labels = [text for text, _ in kept], [label for _, label in kept]
    opposite = [1 - label for label in labels]
    return (
        datasets.Dataset.from_dict({"text": affirmed, "label": labels}, features=features),
        datasets.Dataset.from_dict({"text": denied, "label": opposite}, features=features),
    )
