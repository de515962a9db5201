"""Clauses of the reviews, as they stand and denied: "the plot was dull", "the plot wasn't dull".

Whole reviews hardly show that a word which denies turns a clause round: "not bad" stands more often
in negative reviews, and their label is learnt from a hundred other words. A denied clause that is
taught as the opposite shows nothing else. What a clause says, and how surely, is told by its words:
an adjective that is much more frequent under one label than under the other, and an adverb to it.

Where labels are topics, what is not about one of them is not about the other, and clauses would
teach what is wrong. So reviews are asked first whether adjectives speak for their label less often
where they are denied.

Of English alone. After the counterfactual reviews of Kaushik, Hovy & Lipton 2020 (arXiv
1909.12434), which people wrote; here a rule does.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import datasets
import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.data import labelled_texts
from sentiment_lstm.text import sentences

__all__ = [
    "Clause",
    "Clauses",
    "denying_turns_labels",
    "draw_clauses",
    "find_clauses",
    "opposite",
    "polar_words",
]

# The same clauses whatever the seed of the training, so that soft labels serve all of them.
_SEED = 0
_LEAST_REVIEWS = 20  # that hold a word whose polarity is believed
_LEAST_LOG_ODDS = 0.5
# In a review a word is one of hundreds; a clause says nothing else.
_CLAUSE_FACTOR = 2.0
_ADVERB_FACTORS = {"very": 1.5, "really": 1.5, "so": 1.5, "truly": 1.5, "absolutely": 1.5}
# What is not bad need not be good.
_DENIAL_FACTOR = 0.8
# How much likelier an adjective must speak for its label where it is not denied (the ratio of the
# odds), and how sure of that the reviews must make us.
_LEAST_ODDS_RATIO = 1.2
_CONFIDENCE = 0.99
_WORD = re.compile(r"[a-z]+")
# An adjective as it stands or denied, anywhere.
_STATEMENT = re.compile(
    r"\b(?:is|was|are|were)(?P<denial> not|n't| never)? "
    r"(?:(?:very|really|so|quite|just|all|that|a|an|the) )*(?P<adjective>[a-z]+)"
)
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
    """A clause whose adjective speaks for a label."""

    text: str
    denied: str
    log_odds: float  # of label 1 over label 0, where it stands as it is


@dataclass(frozen=True, kw_only=True)
class Clauses:
    """Clauses as they stand, the same ones denied, and what the former say by their words."""

    affirmed: datasets.Dataset  # columns `text` and `label`
    denied: datasets.Dataset  # likewise, in the same order, with the other label
    probabilities: NDArray[np.float32]  # (N, 2) of the labels, for the affirmed ones


def opposite(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn what is said of clauses into what is to be said of them denied, a little less surely.

    Args:
        probabilities: (N, 2) of the labels.

    Returns:
        (N, 2).
    """
    return _DENIAL_FACTOR * probabilities[:, ::-1] + np.float32((1 - _DENIAL_FACTOR) / 2)


def polar_words(reviews: datasets.Dataset) -> dict[str, float]:
    """Find the words that stand much more often under one of two labels than under the other.

    Args:
        reviews: columns `text` and `label`, 0 or 1.

    Returns:
        By word, in small letters, its log-odds under label 1 over those under label 0: of those in
        at least 20 reviews that are beyond 0.5 either way.
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
            found[word] = odds
    return found


def denying_turns_labels(reviews: datasets.Dataset, polar: Mapping[str, float]) -> bool:
    """Tell whether a word that denies turns labels round, by what the reviews themselves say.

    In IMDB's training split 77 % of the adjectives after a form of "to be" speak for the label of
    their review, and 59 % of the denied ones; where the labels are two genres, as many of both.

    Args:
        reviews: columns `text` and `label`, 0 or 1.
        polar: of these reviews, from :func:`polar_words`.

    Returns:
        True where the odds that an adjective speaks for the label are surely higher as it stands
        than denied; False also where the reviews are too few to tell.
    """
    from scipy.stats.contingency import odds_ratio

    # Affirmed or denied; for the label or against it. From 1 on, so that no odds are infinite.
    counts = np.ones((2, 2), dtype=np.int64)
    for text, label in labelled_texts(reviews):
        for match in _STATEMENT.finditer(text):
            odds = polar.get(match["adjective"])
            if odds is not None:
                counts[int(match["denial"] is not None), int(label != int(odds > 0))] += 1
    interval = odds_ratio(counts, kind="sample").confidence_interval(_CONFIDENCE)
    return bool(interval.low > _LEAST_ODDS_RATIO)


def find_clauses(
    text: str, label: int, polar: Mapping[str, float], random: np.random.Generator
) -> Iterator[Clause]:
    """Find the clauses of a review that say of something that it is good or bad, as its label does.

    Args:
        text: the review.
        label: 0 or 1; of a review with another, -1, every such clause.
        polar: from :func:`polar_words`.
        random: chooses how each is denied.
    """
    for sentence in sentences(text, min_words=3):
        for match in _CLAUSE.finditer(sentence):
            subject, verb, adverb, article, adjective, noun = match.groups()
            odds = polar.get(adjective)
            # An article wants its noun, and an adjective without one must end the clause.
            if odds is None or (article is None) != (noun is None):
                continue
            if label in (0, 1) and label != int(odds > 0):
                continue
            subject = subject[0].upper() + subject[1:]
            rest = f"{article or ''}{adjective}{noun or ''}"
            affirmed = f"{subject}{verb} {adverb or ''}{rest}."
            if _DENIES.search(affirmed):
                continue
            factor = _CLAUSE_FACTOR * _ADVERB_FACTORS.get((adverb or "").strip(), 1.0)
            # Without the adverb: what is not very bad may still be bad.
            form = _DENIALS[int(random.integers(len(_DENIALS)))]
            denied = form.format(subject=subject, verb=verb, rest=rest)
            yield Clause(text=affirmed, denied=denied, log_odds=factor * odds)


def draw_clauses(
    reviews: datasets.Dataset,
    size: int,
    *,
    polar: Mapping[str, float],
    unlabelled: datasets.Dataset | None = None,
) -> Clauses:
    """Draw clauses of reviews at random, each once.

    Args:
        reviews: columns `text` and `label`, of two classes.
        size: how many; fewer come back where the reviews hold fewer.
        polar: of these reviews, from :func:`polar_words`.
        unlabelled: columns `text` and `label`, -1 throughout, where they do not suffice.
    """
    random = np.random.default_rng(_SEED)
    found: dict[str, Clause] = {}
    for part in (reviews, unlabelled):
        if part is None or len(found) >= size:
            continue
        for text, label in labelled_texts(part, random.permutation(len(part))):
            if len(found) >= size:
                break
            for clause in find_clauses(text, label, polar, random):
                found.setdefault(clause.text, clause)
    kept = list(found.values())[:size]
    log_odds = np.array([clause.log_odds for clause in kept], dtype=np.float32)
    positive = 1 / (1 + np.exp(-log_odds))
    labels = (log_odds > 0).astype(np.int64)
    features = datasets.Features({name: reviews.features[name] for name in ("text", "label")})

    def part_of(texts: list[str], labels: NDArray[np.int64]) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)

    return Clauses(
        affirmed=part_of([clause.text for clause in kept], labels),
        denied=part_of([clause.denied for clause in kept], 1 - labels),
        probabilities=np.stack([1 - positive, positive], axis=1).astype(np.float32),
    )
