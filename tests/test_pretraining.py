from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file

from sentiment_lstm import runs
from sentiment_lstm.building import build_model
from sentiment_lstm.foretelling import Foretelling
from sentiment_lstm.pretraining import pretrain
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.recipes.settings import PretrainingSettings
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from tests.contracts import assert_same_weights
from tests.processes import run_code, start_code

SETTINGS = PretrainingSettings(objective="region", batch_size=32, negatives=20, learning_rate=1e-2)

PRETRAIN_SCRIPT = """
import sys
from pathlib import Path
import torch
from datasets import load_from_disk
from sentiment_lstm.pretraining import pretrain
from sentiment_lstm.recipes import load_recipe
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from sentiment_lstm.building import build_model
folder = Path(sys.argv[1])
recipe = load_recipe(folder / "recipe.toml")
tokenizer = load_tokenizer()
torch.manual_seed(0)
model = build_model(recipe, tokenizer, ["negative", "positive"])
texts = tokenize_reviews(load_from_disk(str(folder / "reviews")), tokenizer)
pretrain(model, [texts], recipe.pretraining, work=folder / sys.argv[2], seed=5)
"""

RECIPE = """
summary = "Small, and long enough to be killed in the middle."
[model]
embedding_size = 8
hidden_size = 8
segment_length = 16
[pretraining]
objective = "language_model"
epochs = 12
batch_size = 16
negatives = 30
embedding_learning_rate = 2e-2
"""


@pytest.fixture
def tokenized(sentences: DatasetDict) -> Dataset:
    return tokenize_reviews(sentences["train"], load_tokenizer())


def test_it_learns_changes_embedding_and_lstm_alone_and_is_not_run_twice(
    tokenized: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ["pretraining.objective=region"])
    torch.manual_seed(0)
    model = build_model(recipe, load_tokenizer(), ["negative", "positive"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = pretrain(model, [tokenized], SETTINGS, work=tmp_path, seed=0)
    again = Foretelling(model, np.ones(model.config.vocab_size, dtype=int), SETTINGS)
    assert again.embedding is model.embedding
    changed = {
        name for name, old in before.items() if not torch.equal(old, model.state_dict()[name])
    }
    assert changed
    assert {name.split(".")[0] for name in changed} == {"embedding", "encoder"}

    other = build_model(recipe, load_tokenizer(), ["negative", "positive"])
    assert np.isnan(pretrain(other, [tokenized], SETTINGS, work=tmp_path, seed=0))
    assert torch.equal(other.embedding.weight, model.embedding.weight)
    longer = replace(SETTINGS, epochs=6)
    assert pretrain(model, [tokenized], longer, work=tmp_path / "longer", seed=0) < first


def test_the_words_vectors_have_a_learning_rate_of_their_own(
    tokenized: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    def learn(settings: PretrainingSettings, name: str) -> tuple[float, float]:
        """How far the embedding and the LSTM have moved."""
        torch.manual_seed(0)
        model = build_model(quick_recipe, load_tokenizer(), ["negative", "positive"])
        weights = model.embedding.weight, model.encoder.get_parameter("forwards.0.weight_hh_l0")
        before = [weight.detach().clone() for weight in weights]
        pretrain(model, [tokenized], settings, work=tmp_path / name, seed=0)
        of_embedding, of_lstm = (
            float((weight.detach() - start).abs().max())
            for weight, start in zip(weights, before, strict=True)
        )
        return of_embedding, of_lstm

    same = learn(SETTINGS, "same")
    told = replace(SETTINGS, embedding_learning_rate=SETTINGS.learning_rate)
    assert learn(told, "told") == same
    of_embedding, of_lstm = learn(replace(SETTINGS, embedding_learning_rate=1e-6), "slow")
    assert of_embedding < 1e-3 < same[0]
    assert of_lstm > 1e-3


def test_killed_and_called_again_it_ends_with_the_weights_of_an_undisturbed_one(
    sentences: DatasetDict, tmp_path: Path
):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    sentences["train"].save_to_disk(tmp_path / "reviews")
    running = start_code(PRETRAIN_SCRIPT, tmp_path, "killed")
    work = tmp_path / "killed"
    running.wait_until(lambda: work.is_dir() and runs.newest_checkpoint(work))
    running.kill()
    assert not (tmp_path / "killed" / "pretrained.safetensors").exists()
    for name in ("killed", "undisturbed"):
        done = run_code(PRETRAIN_SCRIPT, tmp_path, name)
        assert done.returncode == 0, done.stderr
    killed, undisturbed = (
        load_file(tmp_path / name / "pretrained.safetensors") for name in ("killed", "undisturbed")
    )
    assert_same_weights(killed, undisturbed)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["pretrained.safetensors"]
