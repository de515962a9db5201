from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sentiment_lstm import building
from sentiment_lstm.building import after_labels, build_model, load_weights
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.recipes import load_recipe, override
from sentiment_lstm.tokens import load_tokenizer

NAMES = ["bad", "mixed", "good"]
SMALL = [
    "model.embedding_size=4",
    "model.hidden_size=4",
    "model.ngram_buckets=64",
    "model.pretrained_embeddings=false",
]


def built(recipe: str, *settings: str) -> SentimentModel:
    return build_model(override(load_recipe(recipe), [*SMALL, *settings]), load_tokenizer(), NAMES)


def test_what_a_recipe_says_arrives_in_the_config_of_the_model():
    config = built("default", "model.longest_ngram=2", "training.ordinal=true").config
    assert (config.embedding_size, config.ngram_orders, config.ordinal) == (4, [1, 2], True)
    assert config.id2label == {0: "bad", 1: "mixed", 2: "good"}
    assert config.label2id == {"bad": 0, "mixed": 1, "good": 2}
    assert config.vocab_size == 30_522
    assert config.fixed_length is None


def test_the_notebooks_recipe_reads_texts_whole_and_of_one_length():
    config = built("classic", "model.ngram_buckets=0").config
    assert (config.segment_length, config.fixed_length) == (None, 128)


def test_the_weights_depend_on_the_seed_alone():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([value.flatten() for value in built("default").state_dict().values()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_pretrained_embeddings_start_close_where_words_are_alike():
    recipe = load_recipe("default")
    assert recipe.model.pretrained_embeddings
    tokenizer = load_tokenizer()
    table = build_model(recipe, tokenizer, ["negative", "positive"]).embedding.weight.detach()
    assert float(table.std()) == pytest.approx(1.0, abs=0.02)

    def likeness(one: str, other: str) -> float:
        rows = table[tokenizer.convert_tokens_to_ids([one, other])]
        return float(torch.cosine_similarity(rows[:1], rows[1:]))

    assert likeness("film", "movie") > likeness("film", "tuesday") + 0.2


@pytest.mark.parametrize("has_it", [True, False])
@pytest.mark.parametrize(
    ("precision", "expected"), [("float32", False), ("bfloat16", True), ("auto", None)]
)
def test_the_precision_is_the_recipes_or_what_the_machine_is_fast_in(
    monkeypatch: pytest.MonkeyPatch, precision: str, expected: bool | None, has_it: bool
):
    monkeypatch.setattr(building, "fast_bfloat16", lambda: has_it)
    model = built("default", f"training.precision={precision}")
    assert model.encoder.low_precision is (has_it if expected is None else expected)


def test_a_model_goes_on_from_the_weights_of_another_and_keeps_its_own_ngrams(tmp_path: Path):
    other, model = built("default"), built("default")
    other.ngrams.weight.data.normal_()
    other.save_pretrained(tmp_path)
    before = model.ngrams.weight.clone()
    load_weights(model, tmp_path)
    learnt, expected = model.state_dict(), other.state_dict()
    assert torch.equal(learnt.pop("ngrams.weight"), before)
    expected.pop("ngrams.weight")
    assert {"embedding.weight", "classifier.weight", "encoder.forwards.0.weight_hh_l0"} <= set(
        learnt
    )
    for name, value in learnt.items():
        assert torch.equal(value, expected[name]), name


def test_after_the_labels_nothing_is_dropped_out_or_started_anew_and_nothing_else_changes():
    recipe = override(
        load_recipe("best"), ["model.hidden_dropout=0.1", "model.embedding_dropout=0.1"]
    )
    bare = after_labels(recipe)
    changed = {
        f"{section}.{key}"
        for section, values in recipe.to_dict().items()
        if isinstance(values, dict)
        for key, value in values.items()
        if bare.to_dict()[section][key] != value
    }
    assert changed == {
        "model.word_dropout",
        "model.embedding_dropout",
        "model.hidden_dropout",
        "model.classifier_dropout",
        "model.pretrained_embeddings",
    }
    assert bare.model.classifier_dropout == bare.model.word_dropout == 0.0
    assert not bare.model.pretrained_embeddings
