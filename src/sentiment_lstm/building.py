"""A recipe and a tokenizer in, the untrained model out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import artefact
from sentiment_lstm.embeddings import pretrained_embeddings
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.precision import fast_bfloat16
from sentiment_lstm.recipes import Recipe, override

__all__ = ["after_labels", "build_model", "load_weights"]

_DROPOUTS = (
    "model.word_dropout",
    "model.embedding_dropout",
    "model.hidden_dropout",
    "model.classifier_dropout",
)


def build_model(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, label_names: list[str]
) -> SentimentModel:
    """Build the untrained model of a recipe; its weights depend on torch's global seed.

    Its LSTM is to be trained in the precision of the recipe, on this machine.

    Raises:
        RecipeError: a setting of the recipe's section [model] is out of its range.
    """
    settings = asdict(recipe.model)
    start_from_pretrained = settings.pop("pretrained_embeddings")
    longest_ngram = settings.pop("longest_ngram")
    tokens = recipe.tokens
    try:
        config = SentimentConfig(
            **{**settings, "segment_length": settings["segment_length"] or None},
            vocab_size=len(tokenizer),
            pad_token_id=int(tokenizer.get_vocab()[str(tokenizer.pad_token)]),
            fixed_length=tokens.max_length_tokens if tokens.fixed_length else None,
            ngram_orders=list(range(1, longest_ngram + 1)),
            ordinal=recipe.training.ordinal,
            id2label=dict(enumerate(label_names)),
            label2id={name: class_id for class_id, name in enumerate(label_names)},
        )
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}, section [model]: {error}") from error
    model = SentimentModel(config)
    if start_from_pretrained:
        vectors = pretrained_embeddings(tokenizer, embedding_size=config.embedding_size)
        model.embedding.weight.data.copy_(torch.from_numpy(vectors))
    precision = recipe.training.precision
    model.encoder.low_precision = precision == "bfloat16" or (
        precision == "auto" and fast_bfloat16()
    )
    return model


def after_labels(recipe: Recipe) -> Recipe:
    """Give the recipe with which a student goes on from the labels to what its teachers say.

    It drops nothing out: an opinion tells how sure it is, and a student that follows it less
    closely judges new texts less like its teacher. The adversary stays: where the texts are soon
    known by heart, a student that withstands it judges new ones more like its teacher, and for
    better reasons. Its embedding is the one that has learnt the labels.
    """
    dropouts = [f"{setting}=0" for setting in _DROPOUTS]
    return override(recipe, [*dropouts, "model.pretrained_embeddings=false"])


def load_weights(model: SentimentModel, folder: Path) -> None:
    """Give a model the embedding, the LSTM and the classifier of another of the same recipe.

    Args:
        model: changed in place; its n-grams, which are fitted at a training's end, stay.
        folder: of the other.
    """
    weights = load_file(folder / artefact.WEIGHTS)
    learnt = {name: value for name, value in weights.items() if not name.startswith("ngrams.")}
    model.load_state_dict(learnt, strict=False)
