"""Texts in; labels, calibrated confidence and reasons out: what every runtime has in common.

`sentiment_lstm.prediction` fills it in on PyTorch, `sentiment_lstm.runtime` on ONNX Runtime.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm import artefact
from sentiment_lstm.abstention import check_threshold
from sentiment_lstm.errors import ModelError, TextError
from sentiment_lstm.explain.occlusion import TokenScore, occlusion
from sentiment_lstm.ordinal import expected_values
from sentiment_lstm.reliability import softmax
from sentiment_lstm.text import check_texts, is_blank, with_marks

__all__ = [
    "MAX_CHARACTERS",
    "Explanation",
    "Prediction",
    "ScoredTokens",
    "TextClassifier",
    "load",
    "word_scores",
]

# A text is read at once, and takes about a kilobyte a token while it is.
MAX_CHARACTERS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one text.

    The label is the most probable one for ordinal models, too. The median of the distribution,
    which minimizes the expected distance, was up to 6 points less accurate on held-out star
    ratings and hardly nearer (`benchmarks/ordinal.py`); `expected_value` is there for distances.
    """

    label: str  # the most probable one, whether or not it is withheld
    confidence: float  # the calibrated probability of `label`
    probabilities: dict[str, float]  # of every label
    # The mean of the labels' numbers by their probability, where the model is ordinal and all of
    # its labels begin with a number.
    expected_value: float | None = None
    length_tokens: int  # of the whole text, [CLS] and [SEP] included
    truncated: bool  # whether the model was trained on, and read, only the text's beginning
    abstained: bool = False  # whether the label is withheld, its confidence being too low

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; a label that is withheld is None."""
        return {**asdict(self), "label": None if self.abstained else self.label}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A prediction and its reasons, word by word.

    A score above 0 speaks for `label`, one below 0 against it. Under the method `contributions`,
    `base` and all scores sum to `logit`, the log-odds of `label` between two classes, and its logit
    above the mean of the others' between more.
    """

    prediction: Prediction
    label: str  # the class that is explained
    method: str  # `contributions`, `occlusion` or `gradients`
    logit: float
    base: float  # what is said before a word is read: biases, [CLS] and [SEP]
    words: list[TokenScore]  # in reading order, with character offsets into the text
    convergence_delta: float | None = None  # of `gradients`: what their sum lacks

    def top(self, number: int = 5) -> list[TokenScore]:
        """Give the words of the strongest pull, either way, strongest first."""
        return sorted(self.words, key=lambda word: -abs(word.score))[:number]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "prediction": self.prediction.to_dict()}


@dataclass(frozen=True, kw_only=True)
class ScoredTokens:
    """One text as the model read it: T tokens, C classes."""

    logits: NDArray[np.float64]  # (C,)
    scores: NDArray[np.float64]  # (T, C), whose sum over T the logits are, but for the biases
    offsets: list[tuple[int, int]]  # T stretches of characters, empty for [CLS] and [SEP]
    words: list[int | None]  # T, which word of the text each belongs to, None for [CLS] and [SEP]
    length_tokens: int  # of the whole text


class TextClassifier(ABC):
    """A trained model with its tokenizer: texts in, labels and calibrated confidence out.

    Args:
        labels: the label names; a position is a class id.
        ordinal: whether the labels have an order, that of `labels`.
        abstain_below: the confidence below which a label is withheld unless `predict` is told
            another.
        max_length_tokens: where a text is cut, or None if every text is read whole.
        additive: whether the logits are a sum over tokens.
        facts: what is known of the training, for reports.
        thresholds: by target accuracy, such as `"0.99"`, the confidence from which the validation
            reviews were answered that well, or None where no confidence sufficed.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str],
        ordinal: bool,
        abstain_below: float,
        max_length_tokens: int | None,
        additive: bool,
        facts: Mapping[str, str] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> None:
        self.labels = list(labels)
        self.ordinal = ordinal
        self.abstain_below = abstain_below
        self.max_length_tokens = max_length_tokens
        self.additive = additive
        self.facts = dict(facts or {})
        self.thresholds = dict(thresholds or {})

    @abstractmethod
    def _score(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logits (N, C) float64 and whole lengths in tokens (N,) int64, in the order given."""

    @abstractmethod
    def _score_tokens(self, text: str) -> ScoredTokens:
        """Score a text and each of its tokens; asked of additive models only."""

    def predict(
        self,
        texts: Iterable[str],
        *,
        allow_blank: bool = False,
        abstain: float | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[Prediction]:
        """Classify texts, in order.

        Args:
            texts: any number of strings.
            allow_blank: let empty texts pass; what the model says of them is a guess.
            abstain: withhold the labels whose confidence is below this; None for the threshold of
                the model folder, which withholds none unless it was set.
            on_progress: called with the number of texts done since the last call.

        Raises:
            TextError: a text is empty, too long or not a string, or `abstain` is not from 0 to 1.
        """
        checked = check_texts(texts, allow_blank=allow_blank, max_characters=MAX_CHARACTERS)
        threshold = check_threshold(self.abstain_below if abstain is None else abstain)
        logits, lengths = self._score(checked, on_progress)
        return self._predictions(logits, lengths, threshold)

    def predict_proba(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Give the calibrated probability of every label for every text.

        Returns:
            (N, C) float64, rows that sum to 1.

        Raises:
            TextError: a text is empty, too long or not a string.
        """
        return softmax(self.logits(texts, on_progress=on_progress))

    def logits(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Give the model's scores before the softmax, temperature and bias already in them.

        Returns:
            (N, C) float64.

        Raises:
            TextError: a text is empty, too long or not a string.
        """
        checked = check_texts(texts, max_characters=MAX_CHARACTERS)
        return self._score(checked, on_progress)[0]

    def explain(
        self,
        texts: Iterable[str],
        *,
        label: str | None = None,
        method: str | None = None,
        allow_blank: bool = False,
        abstain: float | None = None,
    ) -> list[Explanation]:
        """Classify texts and say why, word by word.

        Args:
            texts: any number of strings.
            label: the class to explain; None for the predicted one of each text.
            method: `contributions`, exact and at no second pass where the model is
                :attr:`additive`, or `occlusion`, for any model; None for the better one.
            allow_blank: let empty texts pass; what is said of them stands in `base` alone.
            abstain: as in :meth:`predict`.

        Raises:
            TextError: a text is empty, too long or not a string, or there is no such label.
            ModelError: the model is not additive, and contributions are asked for.
        """
        checked = check_texts(texts, allow_blank=allow_blank, max_characters=MAX_CHARACTERS)
        threshold = check_threshold(self.abstain_below if abstain is None else abstain)
        if label is not None and label not in self.labels:
            raise TextError(f"There is no label {label!r}. Choose one of {', '.join(self.labels)}.")
        chosen = method or ("contributions" if self.additive else "occlusion")
        if chosen == "contributions" and not self.additive:
            raise ModelError(
                "This model's logits are no sum over tokens, so they have no contributions. "
                "Explain it by occlusion."
            )
        if chosen not in ("contributions", "occlusion"):
            raise TextError(
                f"There is no method {chosen!r}. Choose `contributions` or `occlusion`."
            )
        explained = self._contributions if chosen == "contributions" else self._occlusion
        return [explained(text, label, threshold) for text in checked]

    def explanation(
        self,
        *,
        prediction: Prediction,
        label: str,
        method: str,
        logits: NDArray[np.float64],
        words: list[TokenScore],
        convergence_delta: float | None = None,
    ) -> Explanation:
        """Put a prediction and the scores of its words together.

        Args:
            prediction: what the model says of the text.
            label: the class that is explained.
            method: how the scores were found.
            logits: (C,), of the text.
            words: in reading order.
            convergence_delta: as in `Explanation`.
        """
        logit = float(self.margin(logits, label))
        return Explanation(
            prediction=prediction,
            label=label,
            method=method,
            logit=logit,
            base=logit - sum(word.score for word in words),
            words=words,
            convergence_delta=convergence_delta,
        )

    def margin(self, logits: NDArray[np.float64], label: str) -> NDArray[np.float64]:
        """Give the logit of a class above the mean of the others': (..., C) -> (...)."""
        place = self.labels.index(label)
        return logits[..., place] - np.delete(logits, place, axis=-1).mean(axis=-1)

    def _contributions(self, text: str, label: str | None, threshold: float) -> Explanation:
        scored = self._score_tokens(text)
        lengths = np.array([scored.length_tokens])
        prediction = self._predictions(scored.logits[None], lengths, threshold)[0]
        label = label or prediction.label
        scores = self.margin(scored.scores, label)  # (T,)
        return self.explanation(
            prediction=prediction,
            label=label,
            method="contributions",
            logits=scored.logits,
            words=word_scores(text, scores, scored.offsets, scored.words),
        )

    def _occlusion(self, text: str, label: str | None, threshold: float) -> Explanation:
        logits, lengths = self._score([text], None)
        prediction = self._predictions(logits, lengths, threshold)[0]
        label = label or prediction.label
        class_index = self.labels.index(label)
        words = (
            [] if is_blank(text) else occlusion(text, self.predict_proba, class_index=class_index)
        )
        return self.explanation(
            prediction=prediction,
            label=label,
            method="occlusion",
            logits=logits[0],
            words=words,
        )

    def _predictions(
        self, logits: NDArray[np.float64], lengths: NDArray[np.int64], threshold: float
    ) -> list[Prediction]:
        limit = self.max_length_tokens
        labels = self.labels
        probabilities = softmax(logits)
        values = expected_values(probabilities, labels) if self.ordinal else None
        predictions = []
        for place, (row, length) in enumerate(zip(probabilities, lengths, strict=True)):
            best = int(row.argmax())
            predictions.append(
                Prediction(
                    label=labels[best],
                    confidence=float(row[best]),
                    probabilities=dict(zip(labels, row.tolist(), strict=True)),
                    expected_value=None if values is None else float(values[place]),
                    length_tokens=int(length),
                    truncated=limit is not None and int(length) > limit,
                    abstained=bool(row[best] < threshold),
                )
            )
        return predictions


def load(folder: str | Path | None = None, *, threads: int | None = None) -> TextClassifier:
    """Load a trained classifier; nothing but its folder is needed.

    A folder that was exported runs on ONNX Runtime, any other on PyTorch.

    Args:
        folder: a model folder; None for the model that comes with this package.
        threads: at most so many at once; None for one a CPU that this process may use.

    Raises:
        ModelError: the folder or a file in it is missing or damaged, or its files do not belong
            together; or it was not exported and PyTorch is not installed.
    """
    folder = artefact.model_folder(folder)
    if artefact.onnx_files(folder):
        from sentiment_lstm import runtime

        return runtime.load(folder, threads=threads)
    artefact.verify(folder)  # before PyTorch, which takes seconds to load
    if importlib.util.find_spec("torch") is None:
        raise ModelError(
            f"{folder}: holds no ONNX file, and PyTorch is not installed. Run `sentiment-lstm "
            "export` on it where it was trained, or `pip install 'sentiment-lstm[train]'` here."
        )
    from sentiment_lstm import prediction

    return prediction.load(folder)


def word_scores(
    text: str,
    scores: NDArray[np.float64],
    offsets: Sequence[tuple[int, int]],
    words: Sequence[int | None],
) -> list[TokenScore]:
    """Put the pieces of each word together again, and add up their scores.

    Args:
        text: of T tokens.
        scores: (T,), one a token.
        offsets: as in `ScoredTokens`.
        words: as in `ScoredTokens`.
    """
    merged: list[TokenScore] = []
    last: int | None = None
    for score, (start, end), word in zip(scores.tolist(), offsets, words, strict=True):
        if word is None:
            continue
        if merged and word == last:
            start, score = merged[-1].start, merged[-1].score + score
            merged.pop()
        end = with_marks(text, end)
        merged.append(TokenScore(start=start, end=end, text=text[start:end], score=score))
        last = word
    return merged
