"""A model folder and texts in, labels with calibrated confidence out, on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import artefact
from sentiment_lstm.abstention import check_threshold
from sentiment_lstm.batches import collate_ragged, token_budget_batches
from sentiment_lstm.calibration import softmax
from sentiment_lstm.errors import ModelError
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.ordinal import expected_values
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.text import check_texts
from sentiment_lstm.tokens import saved_tokenizer, tokenize_texts

__all__ = ["Classifier", "Prediction", "load"]

# Large enough to keep two cores busy, small enough that the states of a batch stay near 50 MB.
_BATCH_TOKENS = 16_384
# Tokenized and scored together: bounds the memory that a long list of texts takes.
_CHUNK_TEXTS = 2_048


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


def load(folder: str | Path) -> Classifier:
    """Load a trained classifier; nothing but its folder is needed.

    Raises:
        ModelError: the folder or a file in it is missing or damaged, or the weights do not fit
            the configuration.
    """
    folder = artefact.existing_folder(folder)
    artefact.verify(folder)
    try:
        with quiet_libraries():
            loaded: Any = SentimentModel.from_pretrained(
                folder, local_files_only=True, output_loading_info=True
            )
            model, info = loaded
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        detail = " ".join(str(error).split())
        raise ModelError(
            f"{folder}: the weights and config.json do not belong together ({detail:.300}). "
            "Copy both again from where the model was trained."
        ) from error
    wrong = {kind: sorted(map(str, names)) for kind, names in info.items() if names}
    if wrong:
        raise ModelError(
            f"{folder}: {artefact.WEIGHTS} does not hold the weights that config.json describes "
            f"({wrong}). Copy both again from where the model was trained."
        )
    tokenizer = saved_tokenizer(folder)
    if len(tokenizer) != model.config.vocab_size:
        raise ModelError(
            f"{folder}: the tokenizer has {len(tokenizer):,} word pieces, the model "
            f"{model.config.vocab_size:,}. Copy both again from where the model was trained."
        )
    training = folder / artefact.TRAINING
    facts = artefact.read_json(training).get("facts", {}) if training.is_file() else {}
    calibration = folder / artefact.CALIBRATION
    kept = artefact.read_json(calibration).get("thresholds") if calibration.is_file() else None
    return Classifier(
        model, tokenizer, facts=facts, thresholds=kept if isinstance(kept, dict) else None
    )


class Classifier:
    """A trained model with its tokenizer: texts in, labels and calibrated confidence out.

    Args:
        model: put into evaluation mode.
        tokenizer: the one it was trained with; its `model_max_length` is where texts are cut.
        facts: what is known of the training, for reports.
        thresholds: by target accuracy, such as `"0.99"`, the confidence from which the validation
            reviews were answered that well, or None where no confidence sufficed.
    """

    def __init__(
        self,
        model: SentimentModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        facts: dict[str, str] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.facts = dict(facts or {})
        self.thresholds = dict(thresholds or {})

    @property
    def labels(self) -> list[str]:
        """The label names; a position is a class id."""
        names: Any = self.model.config.id2label
        return [names[class_id] for class_id in range(len(names))]

    @property
    def ordinal(self) -> bool:
        """Whether the labels have an order, that of :attr:`labels`."""
        return bool(self.model.config.ordinal)

    @property
    def abstain_below(self) -> float:
        """The confidence below which a label is withheld unless `predict` is told another."""
        return self.model.config.abstain_below

    @property
    def max_length_tokens(self) -> int | None:
        """Where a text is cut, or None if every text is read whole."""
        # The tokenizer of a model that reads whole texts says so with a huge number.
        length = self.tokenizer.model_max_length
        return length if length < 1e9 else None

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
            TextError: a text is empty or not a string, or `abstain` is not from 0 to 1.
        """
        threshold = check_threshold(self.abstain_below if abstain is None else abstain)
        logits, lengths = self._score(check_texts(texts, allow_blank=allow_blank), on_progress)
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

    def predict_proba(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Give the calibrated probability of every label for every text.

        Returns:
            (N, C) float64, rows that sum to 1.

        Raises:
            TextError: a text is empty or not a string.
        """
        return softmax(self.logits(texts, on_progress=on_progress))

    def logits(
        self, texts: Iterable[str], *, on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Give the model's scores before the softmax, temperature and bias already in them.

        Returns:
            (N, C) float64.

        Raises:
            TextError: a text is empty or not a string.
        """
        return self._score(check_texts(texts), on_progress)[0]

    def _score(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Logits (N, C) float64 and whole lengths in tokens (N,) int64, in the order given."""
        logits = np.zeros((len(texts), self.model.num_labels))
        lengths = np.zeros(len(texts), dtype=np.int64)
        for start in range(0, len(texts), _CHUNK_TEXTS):
            chunk = texts[start : start + _CHUNK_TEXTS]
            input_ids = tokenize_texts(self.tokenizer, chunk)
            lengths[start : start + len(chunk)] = [len(ids) for ids in input_ids]
            limit = self.max_length_tokens
            if limit is not None:
                input_ids = tokenize_texts(self.tokenizer, chunk, max_length_tokens=limit)
            sizes = [len(ids) for ids in input_ids]
            for batch in token_budget_batches(sizes, budget_tokens=_BATCH_TOKENS):
                rows = [{"input_ids": input_ids[position]} for position in batch]
                tensors = collate_ragged(rows, pad_token_id=self.model.config.pad_token_id or 0)
                with torch.inference_mode():
                    scores = self.model(**tensors).logits
                logits[start + batch] = scores.double().numpy()
                if on_progress:
                    on_progress(len(batch))
        return logits, lengths
