"""Vectors into maps: PCA and t-SNE of the words of one review, or of many whole reviews."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from sentiment_lstm.errors import TextError
from sentiment_lstm.explain.occlusion import occlusion
from sentiment_lstm.explore.encoder import (
    Encoder,
    TokenStates,
    embed_texts,
    embed_tokens,
    encoder_name,
    load_encoder,
    max_length_tokens,
)

__all__ = [
    "ProbabilityModel",
    "Projection",
    "ReviewMap",
    "TokenMap",
    "TokenPoint",
    "explore_reviews",
    "explore_tokens",
    "project",
]

_NEIGHBOURS = 10
# Up to here the exact gradient is fast, and the same whatever the number of threads.
_EXACT_POINTS = 1000
_UNLABELLED = "unlabelled"


class ProbabilityModel(Protocol):
    """A classifier of texts, such as :class:`sentiment_lstm.prediction.Classifier`."""

    @property
    def labels(self) -> Sequence[str]:
        """The label names; a position is a class id."""
        ...

    def predict_proba(self, texts: list[str], /) -> NDArray[Any]:
        """N texts -> (N, C) probabilities."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """N points in the plane, twice."""

    pca: NDArray[np.float64]  # (N, 2)
    tsne: NDArray[np.float64]  # (N, 2)
    explained_variance: tuple[float, float]  # the share of each principal component, 0 to 1
    perplexity: float  # of t-SNE

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "pca": self.pca.tolist(),
            "tsne": self.tsne.tolist(),
            "explained_variance": list(self.explained_variance),
            "perplexity": self.perplexity,
        }


@dataclass(frozen=True, kw_only=True)
class TokenPoint:
    """One point of a token map: a word, a word piece or a special token."""

    label: str
    start: int  # in characters of the text; a special token has start = end
    end: int
    position: int  # in the review, from 1
    pull: float | None  # in log-odds; None without a classifier, and for special tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenMap:
    """The words of one review in the plane."""

    text: str  # what the encoder read; the beginning of a text that is too long for it
    points: tuple[TokenPoint, ...]
    projection: Projection
    encoder: str
    seed: int
    length_tokens: int  # of the whole text, special tokens included
    shown_tokens: int  # of `text`, special tokens included
    pull_label: str | None  # the label that a pull above 0 speaks for
    probabilities: dict[str, float] | None  # what the classifier says of `text`

    @property
    def truncated(self) -> bool:
        """Whether the encoder could not read the whole text."""
        return self.shown_tokens < self.length_tokens

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            **{name: value for name, value in vars(self).items() if name != "points"},
            "projection": self.projection.to_dict(),
            "points": [vars(point) for point in self.points],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewMap:
    """Many whole reviews in the plane."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]  # the label's name of each review
    label_names: tuple[str, ...]  # every label once, in the order of the class ids
    lengths_tokens: tuple[int, ...]  # of the whole reviews
    projection: Projection
    encoder: str
    seed: int
    max_length_tokens: int  # how much of a review the encoder reads
    neighbours: int  # how many nearest neighbours the next two speak of
    agreement: float | None  # the share of them with the review's own label; None without labels
    chance_agreement: float | None  # what that share would be if places meant nothing

    @property
    def truncated(self) -> int:
        """Number of reviews of which the encoder read only the beginning."""
        return sum(length > self.max_length_tokens for length in self.lengths_tokens)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**vars(self), "projection": self.projection.to_dict(), "truncated": self.truncated}


def explore_tokens(
    text: str,
    *,
    encoder: Encoder | str | Path | None = None,
    classifier: ProbabilityModel | None = None,
    seed: int = 0,
    merge_word_pieces: bool = True,
    special_tokens: bool = False,
) -> TokenMap:
    """Put the tokens of one review on a map by the contextual embeddings of a pre-trained BERT.

    Args:
        text: the review. Of one longer than the encoder can read, only the beginning is shown;
            the result says so.
        encoder: from :func:`load_encoder`, or what it takes.
        classifier: gives each word its pull on the prediction.
        seed: of t-SNE.
        merge_word_pieces: one point a word, at the mean of its pieces, punctuation left out. If
            False, one point a word piece, punctuation included.
        special_tokens: show [CLS] and [SEP], too.

    Raises:
        TextError: the text is blank, not a string, or holds fewer than two words.
        ModelError: the encoder cannot be loaded.
    """
    encoder = _loaded(encoder)
    states = embed_tokens(text, encoder)
    groups = _groups(states, merge_word_pieces, special_tokens)
    if len(groups) < 2:
        raise TextError(
            f"The text holds {'a single word' if groups else 'no word'} ({text.strip()!r:.60}), "
            "and a map needs two at least. Give a longer text."
        )
    shown = len(states.tokens)
    if shown < states.length_tokens:
        text = text[: max(end for _, end in states.offsets)]
    pulls, pull_label, probabilities = _pulls(text, states, classifier)
    points = []
    for position, (label, pieces, span) in enumerate(groups, start=1):
        pull = pulls.get(pieces[0])
        start, end = span
        points.append(
            TokenPoint(
                label=label or text[start:end], start=start, end=end, position=position, pull=pull
            )
        )
    vectors = np.stack([states.states[list(pieces)].mean(axis=0) for _, pieces, _ in groups])
    return TokenMap(
        text=text,
        points=tuple(points),
        projection=project(vectors, seed=seed),
        encoder=encoder_name(encoder),
        seed=seed,
        length_tokens=states.length_tokens,
        shown_tokens=shown,
        pull_label=pull_label,
        probabilities=probabilities,
    )


def explore_reviews(
    texts: Sequence[str],
    labels: Sequence[int],
    label_names: Sequence[str],
    *,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> ReviewMap:
    """Put whole reviews on a map by the mean of their contextual token embeddings.

    Args:
        texts: N reviews, two or more. Of one longer than the encoder can read, the beginning
            counts; the result tells how many were cut.
        labels: N class ids; -1 for a review without a label.
        label_names: the name of each class id.
        encoder: from :func:`load_encoder`, or what it takes.
        seed: of t-SNE.
        on_progress: called with the number of reviews done since the last call.

    Raises:
        TextError: a text is blank or not a string, or there are fewer than two different ones.
        ModelError: the encoder cannot be loaded.
        ValueError: labels and texts differ in number, or a label has no name.
    """
    texts, labels = list(texts), [int(label) for label in labels]
    if len(texts) != len(labels):
        raise ValueError(f"There are {len(texts)} texts and {len(labels)} labels.")
    if labels and not -1 <= min(labels) <= max(labels) < len(label_names):
        raise ValueError(f"A label lies outside of -1 to {len(label_names) - 1}.")
    if len(texts) < 2:
        raise TextError(f"A map of reviews needs two at least; there are {len(texts)}.")
    encoder = _loaded(encoder)
    vectors, lengths = embed_texts(texts, encoder, on_progress=on_progress)
    neighbours = min(_NEIGHBOURS, len(texts) - 1)
    agreement, chance = _agreement(vectors, np.array(labels), neighbours)
    names = [*label_names, _UNLABELLED]  # -1 is the last
    return ReviewMap(
        texts=tuple(texts),
        labels=tuple(names[label] for label in labels),
        label_names=tuple(names if -1 in labels else label_names),
        lengths_tokens=tuple(lengths.tolist()),
        projection=project(vectors, seed=seed),
        encoder=encoder_name(encoder),
        seed=seed,
        max_length_tokens=max_length_tokens(encoder),
        neighbours=neighbours,
        agreement=agreement,
        chance_agreement=chance,
    )


def project(vectors: NDArray[Any], *, seed: int = 0) -> Projection:
    """Reduce vectors to two dimensions by PCA and by t-SNE; the same seed gives the same points.

    The vectors are first scaled to length 1, so that distance means angle: some words of a BERT
    are far longer than the rest, and would press all others into one spot.

    Args:
        vectors: (N, H), two or more, not all alike.
        seed: of t-SNE.

    Raises:
        TextError: there are fewer than two vectors, or they are all alike.

    Source: Jolliffe 2002 for PCA; van der Maaten & Hinton 2008 for t-SNE, started from the PCA as
    Kobak & Berens 2019 advise. The perplexity is 30, or a third of the neighbours there are where
    that is less, so that each point's neighbourhood fits into the data.
    """
    if len(vectors) < 2:
        raise TextError(f"A map needs two points at least; there are {len(vectors)}.")
    unit = np.asarray(normalize(np.asarray(vectors, dtype=np.float64)))
    if (unit.max(axis=0) - unit.min(axis=0)).max() < 1e-6:
        raise TextError("All points of the map are alike. Give texts that differ.")
    pca = PCA(n_components=2, svd_solver="full").fit(unit)
    plane = pca.transform(unit)
    perplexity = float(min(30.0, max(1.0, (len(unit) - 1) / 3)))
    # What init="pca" would compute again, and a tenth of it as noise: a cluster that stands under
    # several seeds is the data's, not the start's.
    start = plane / plane[:, 0].std() * 1e-4
    start = start + np.random.default_rng(seed).normal(scale=1e-5, size=start.shape)
    tsne = TSNE(
        n_components=2,
        perplexity=perplexity,
        init=start,
        learning_rate="auto",
        method="exact" if len(unit) <= _EXACT_POINTS else "barnes_hut",
        random_state=seed,
    )
    first, second = pca.explained_variance_ratio_.tolist()
    return Projection(
        pca=plane,
        tsne=tsne.fit_transform(unit).astype(np.float64),
        explained_variance=(first, second),
        perplexity=perplexity,
    )


def _loaded(encoder: Encoder | str | Path | None) -> Encoder:
    return encoder if isinstance(encoder, tuple) else load_encoder(encoder)


def _groups(
    states: TokenStates, merge: bool, special: bool
) -> list[tuple[str, tuple[int, ...], tuple[int, int]]]:
    """Label, tokens and characters of each point; an empty label is read off the text."""
    groups = [
        (states.tokens[token], (token,), states.offsets[token])
        for token, is_special in enumerate(states.special)
        if (special if is_special else not merge)
    ]
    if merge:
        words = [word for word in states.words if not word.punctuation]
        groups += [("", word.pieces, (word.start, word.end)) for word in words]
    return sorted(groups, key=lambda group: group[1])


def _pulls(
    text: str, states: TokenStates, classifier: ProbabilityModel | None
) -> tuple[dict[int, float], str | None, dict[str, float] | None]:
    """The pull of each token, the label it speaks for, and the probabilities of all labels."""
    if classifier is None:
        return {}, None, None
    labels = list(classifier.labels)
    row = np.asarray(classifier.predict_proba([text]))[0]
    # Of two classes the second, so that red means negative in every picture.
    class_index = 1 if len(labels) == 2 else int(row.argmax())
    scores = occlusion(
        text,
        classifier.predict_proba,
        class_index=class_index,
        spans=[(word.start, word.end) for word in states.words],
    )
    pulls = {
        piece: score.score
        for word, score in zip(states.words, scores, strict=True)
        for piece in word.pieces
    }
    return pulls, labels[class_index], dict(zip(labels, row.tolist(), strict=True))


def _agreement(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], neighbours: int
) -> tuple[float | None, float | None]:
    """Share of nearest neighbours, in all dimensions, with the same label; and that by chance."""
    if (labels < 0).any():
        return None, None
    unit = normalize(vectors)
    search = NearestNeighbors(n_neighbors=neighbours).fit(unit)
    found = search.kneighbors(return_distance=False)  # (N, neighbours), never the review itself
    same = labels[found] == labels[:, None]
    counts = np.bincount(labels)
    chance = (counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1))
    return float(same.mean()), float(chance)
