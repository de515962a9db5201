"""A model folder and texts in, labels with calibrated confidence out, on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BatchEncoding, PreTrainedTokenizerFast

from sentiment_lstm import artefact
from sentiment_lstm.batches import collate_ragged
from sentiment_lstm.classifier import ScoredTokens, TextClassifier
from sentiment_lstm.errors import ModelError
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.token_budget import token_budget_batches
from sentiment_lstm.tokens import saved_tokenizer, tokenize_texts

__all__ = ["Classifier", "load"]

# Large enough to keep two cores busy, small enough that the states of a batch stay near 50 MB.
_BATCH_TOKENS = 16_384
# Tokenized and scored together: bounds the memory that a long list of texts takes.
_CHUNK_TEXTS = 2_048


def load(folder: str | Path) -> Classifier:
    """Load a trained classifier; nothing but its folder is needed.

    Raises:
        ModelError: the folder or a file in it is missing or damaged, or the weights do not fit
            the configuration.
    """
    folder = Path(folder)
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
    facts, thresholds = artefact.facts_and_thresholds(folder)
    return Classifier(model, tokenizer, facts=facts, thresholds=thresholds)


class Classifier(TextClassifier):
    """A trained model with its tokenizer, on PyTorch.

    Args:
        model: put into evaluation mode.
        tokenizer: the one it was trained with; its `model_max_length` is where texts are cut.
        facts: what is known of the training, for reports.
        thresholds: as in `TextClassifier`.
    """

    def __init__(
        self,
        model: SentimentModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        facts: Mapping[str, str] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> None:
        names: Any = model.config.id2label
        # The tokenizer of a model that reads whole texts says so with a huge number.
        length = tokenizer.model_max_length
        super().__init__(
            labels=[names[class_id] for class_id in range(len(names))],
            ordinal=bool(model.config.ordinal),
            abstain_below=model.config.abstain_below,
            max_length_tokens=length if length < 1e9 else None,
            additive=model.additive,
            facts=facts,
            thresholds=thresholds,
        )
        self.model = model.eval()
        self.tokenizer = tokenizer

    def encode(self, text: str) -> BatchEncoding:
        """Tokenize one text as the model reads it, with the offsets and the words of its tokens."""
        return self.tokenizer(
            text,
            truncation=self.max_length_tokens is not None,
            max_length=self.max_length_tokens,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )

    def _score(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
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

    def _score_tokens(self, text: str) -> ScoredTokens:
        encoding = self.encode(text)
        ids = torch.tensor([encoding["input_ids"]])
        with torch.inference_mode():
            logits, scores = self.model.token_scores(ids)
        whole = ids.shape[1]
        if self.max_length_tokens is not None:
            whole = len(tokenize_texts(self.tokenizer, [text])[0])
        return ScoredTokens(
            logits=logits[0].double().numpy(),
            scores=scores[0].double().numpy(),
            offsets=encoding["offset_mapping"],
            words=encoding.word_ids(),
            length_tokens=whole,
        )
