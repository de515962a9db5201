"""Texts in, columns of a file out: the same on every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sentiment_lstm import artefact, runtime
from sentiment_lstm.classifier import MAX_CHARACTERS
from sentiment_lstm.text import fault

__all__ = ["NEW_COLUMNS", "BatchScorer", "Scored", "new_columns"]

NEW_COLUMNS = ("label", "confidence", "truncated")
_SPANS = "spans"
_TOP = 5
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a batch of texts gave."""

    columns: dict[str, list]  # of all texts; null where a text could not be scored
    faults: dict[int, str]  # by the place of such a text, why


def new_columns(*, explain: bool) -> tuple[str, ...]:
    """Name the columns that scoring adds."""
    return (*NEW_COLUMNS, _SPANS) if explain else NEW_COLUMNS


class BatchScorer:
    """Scores batches of texts, each in one thread; a process needs one scorer for each of its CPUs.

    The same batch gives the same numbers, to the last digit. In 8 bits they depend on the texts of
    the batch, as :func:`sentiment_lstm.runtime.load` says.

    Args:
        model: an exported model folder; None for the model that comes with this package.
        explain: add the words of the strongest pull, as spans of the text; takes longer.
        abstain: withhold the labels whose confidence is below this; None for what the model folder
            says.

    Raises:
        ModelError: the folder is missing or damaged or was not exported.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        explain: bool = False,
        abstain: float | None = None,
    ) -> None:
        self.explain = explain
        self.abstain = abstain
        self._classifier = runtime.load(artefact.model_folder(model), threads=1)

    def __call__(self, texts: Sequence[object]) -> Scored:
        """Score a batch.

        Args:
            texts: N values, of which those that are null, blank, too long or no string are left
                out.

        Returns:
            N values of `label` (null where it is withheld), `confidence` (its calibrated
            probability), `truncated`, and of `spans` where they are asked for, a list of
            `{start, end, text, score}` with character offsets, strongest first; and the faults.
        """
        faults: dict[int, str] = {}
        for place, text in enumerate(texts):
            found = fault(text, max_characters=MAX_CHARACTERS)
            if found:
                faults[place] = found
        places = [place for place in range(len(texts)) if place not in faults]
        good: list[Any] = [texts[place] for place in places]
        columns: dict[str, list[Any]] = {
            name: [None] * len(texts) for name in new_columns(explain=self.explain)
        }
        explanations = self._classifier.explain(good, abstain=self.abstain) if self.explain else []
        predictions = (
            [explanation.prediction for explanation in explanations]
            if self.explain
            else self._classifier.predict(good, abstain=self.abstain)
        )
        for place, prediction in zip(places, predictions, strict=True):
            columns["label"][place] = None if prediction.abstained else prediction.label
            columns["confidence"][place] = round(prediction.confidence, _DIGITS)
            columns["truncated"][place] = prediction.truncated
        for place, explanation in zip(places, explanations, strict=False):
            columns[_SPANS][place] = [
                {
                    "start": word.start,
                    "end": word.end,
                    "text": word.text,
                    "score": round(word.score, _DIGITS),
                }
                for word in explanation.top(_TOP)
            ]
        return Scored(columns=columns, faults=faults)
