"""Encoders of few random weights in the hub's layout, with the embedded tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.tokens import load_tokenizer


def tiny_config(**settings: object) -> BertConfig:
    return BertConfig(
        **{
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "vocab_size": 30522,
            "max_position_embeddings": 64,
            "initializer_range": 0.3,  # so that texts are told apart
            **settings,
        }
    )


def save_classifier(
    folder: Path, labels: Sequence[str] = ("negative", "positive"), *, seed: int = 1, **settings
) -> Path:
    torch.manual_seed(seed)
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    return _save(BertForSequenceClassification(tiny_config(**names, **settings)), folder)


def save_encoder(folder: Path, *, seed: int = 1, **settings) -> Path:
    torch.manual_seed(seed)
    return _save(BertModel(tiny_config(**settings)), folder)


def _save(model: torch.nn.Module, folder: Path) -> Path:
    with quiet_libraries():
        model.save_pretrained(folder)
    load_tokenizer().save_pretrained(folder)
    return folder
