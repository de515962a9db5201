"""Pre-trained encoders, `embedded`, of the hub or in a folder: loaded to be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.errors import ModelError, one_line
from sentiment_lstm.hub import hub_options
from sentiment_lstm.precision import fast_bfloat16
from sentiment_lstm.tokens import embedded_bert_folder, load_tokenizer, with_markup_rule

__all__ = ["EMBEDDED", "load_encoder", "load_pretrained"]

EMBEDDED = "embedded"
_ATTENTION_DROPOUTS = (
    "attention_probs_dropout_prob",
    "attention_dropout",
    "attention_dropout_prob",
)
_HIDDEN_DROPOUTS = ("hidden_dropout_prob", "dropout", "seq_classif_dropout", "classifier_dropout")
# Up to so many tokens, the plain attention trains faster in bfloat16 on a CPU than the fused one,
# whose gradient takes half of a batch: 2.0 times at 128, 1.1 at 256; at 512 it is slower.
_PLAIN_ATTENTION_TOKENS = 256
_BERT_TOKENIZERS = ("bert", "distilbert", "electra", "mobilebert")


def load_encoder(
    encoder: str | Path, label_names: Sequence[str], settings: FinetuningSettings
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load the encoder with a new head for the labels, and its tokenizer with the markup rule.

    Raises:
        ModelError: there is no such encoder, or it is damaged.
    """
    place = embedded_bert_folder() if str(encoder) == EMBEDDED else encoder
    options: dict[str, Any] = hub_options(place)
    try:
        config = AutoConfig.from_pretrained(place, **options)
        config.num_labels = len(label_names)
        config.id2label = dict(enumerate(label_names))
        config.label2id = {name: class_id for class_id, name in enumerate(label_names)}
        config.problem_type = "single_label_classification"
        # With dropout in the attention, a CPU cannot use its fast kernel and takes several times
        # as long.
        for name in _ATTENTION_DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, 0.0)
        for name in _HIDDEN_DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, settings.hidden_dropout)
        model, info = load_pretrained(
            AutoModelForSequenceClassification,
            place,
            **options,
            config=config,
            ignore_mismatched_sizes=True,  # a head for other labels is replaced
            attn_implementation=_attention(settings),
        )
        tokenizer = _load_tokenizer(place, config.model_type, options)
    except ModelError:
        raise
    except Exception as error:  # a damaged file ends in whatever its reader raises
        raise ModelError(
            f"{encoder}: no encoder could be loaded ({one_line(error)}). Name a folder with "
            "config.json, model.safetensors and a tokenizer, a hub model while the hub can be "
            f"reached, or {EMBEDDED!r}."
        ) from error
    prefix = f"{model.base_model_prefix}."
    broken = [*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])]
    broken = sorted(key for key in broken if key.startswith(prefix) and "pooler" not in key)
    if broken:
        raise ModelError(
            f"{encoder}: lacks weights that its config.json describes ({', '.join(broken[:3])}). "
            "Copy both again from where the encoder comes from."
        )
    return model, tokenizer


def load_pretrained(
    kind: Any,  # noqa: ANN401 - an automatic class of `transformers`, such as `AutoModel`
    place: str | Path,
    **options: Any,  # noqa: ANN401 - of `from_pretrained`
) -> tuple[Any, dict[str, Any]]:  # the model is untyped, as `transformers` mistypes its `to`
    """Load a model in float32, from safetensors alone, and what its file lacks.

    A pickle, the other format of the hub, could run code.
    """
    return kind.from_pretrained(
        place, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **options
    )


def _attention(settings: FinetuningSettings) -> str | None:
    """Name the attention to train with; None leaves the choice to `transformers`."""
    on_cpu = not torch.cuda.is_available()
    short = settings.max_length_tokens <= _PLAIN_ATTENTION_TOKENS
    return "eager" if on_cpu and short and fast_bfloat16() else None


def _load_tokenizer(
    place: str | Path, model_type: str, options: dict[str, Any]
) -> PreTrainedTokenizerFast:
    if model_type in _BERT_TOKENIZERS:
        return load_tokenizer(place)
    return with_markup_rule(AutoTokenizer.from_pretrained(place, **options))
