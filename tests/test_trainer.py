"""The trainer takes class ids and probabilities alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict, List, Value

from sentiment_lstm.building import build_model
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from sentiment_lstm.trainer import make_trainer, read_history


@pytest.fixture(scope="module")
def tokenized(sentences: DatasetDict) -> Dataset:
    return tokenize_reviews(sentences["train"].select(range(60)), load_tokenizer())


def as_probabilities(tokenized: Dataset, sure: float) -> Dataset:
    """The same reviews; the true class has the given probability, the other what is left."""
    rows = [[1 - sure, sure] if label else [sure, 1 - sure] for label in tokenized["labels"]]
    features = tokenized.features.copy()
    features["labels"] = List(Value("float32"))
    return tokenized.remove_columns("labels").add_column("labels", rows).cast(features)


def history(recipe: Recipe, train: Dataset, validation: Dataset, work: Path) -> list:
    torch.manual_seed(0)
    model = build_model(recipe, load_tokenizer(), ["negative", "positive"])
    trainer = make_trainer(model, recipe, train=train, validation=validation, work=work, seed=0)
    trainer.train()
    return read_history(trainer.state.log_history)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("fixed", [False, True])
def test_certain_probabilities_train_as_class_ids_do(
    tokenized: Dataset, quick_recipe: Recipe, tmp_path: Path, smoothing: float, fixed: bool
):
    settings = [f"training.label_smoothing={smoothing}", "model.ngram_buckets=0"]
    if fixed:
        settings += ["tokens.max_length_tokens=64", "tokens.fixed_length=true"]
        settings += ["training.segments=0", "training.sentence_group=1"]
    recipe = override(quick_recipe, [*settings, "model.pretrained_embeddings=false"])
    certain = as_probabilities(tokenized, 1.0)
    hard = history(recipe, tokenized, tokenized, tmp_path / "hard")
    soft = history(recipe, certain, certain, tmp_path / "soft")
    for one, other in zip(hard, soft, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-3)
        assert other.train_accuracy == one.train_accuracy
        assert other.validation_accuracy == one.validation_accuracy


def test_probabilities_say_how_sure_the_model_should_become(
    tokenized: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(
        quick_recipe,
        [
            "model.ngram_buckets=0",
            "model.pretrained_embeddings=false",
            "model.word_dropout=0.0",
            "model.classifier_dropout=0.0",
            "training.epochs=40",
            "training.patience=0",
        ],
    )
    doubtful = as_probabilities(tokenized, 0.7)
    torch.manual_seed(0)
    model = build_model(recipe, load_tokenizer(), ["negative", "positive"])
    trainer = make_trainer(
        model, recipe, train=doubtful, validation=None, work=tmp_path / "work", seed=0
    )
    trainer.train()
    assert read_history(trainer.state.log_history)[-1].train_accuracy > 0.9
    with torch.no_grad():
        logits = torch.cat(
            [model.eval()(torch.tensor([ids])).logits for ids in tokenized["input_ids"]]
        )
    assert logits.softmax(1).max(1).values.mean() == pytest.approx(0.7, abs=0.1)
