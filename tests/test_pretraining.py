from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file

from sentiment_lstm import runs
from sentiment_lstm.building import build_model
from sentiment_lstm.pretraining import Pretraining, pretrain
from sentiment_lstm.recipes import PretrainingSettings, Recipe, override
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from tests.contracts import ragged_batch, small_model

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
"""


def brute_force_loss(learner: Pretraining, input_ids: torch.Tensor, negatives: torch.Tensor):
    """The loss of one unpadded segment, word by word and against a list of candidates."""
    total = weight = 0.0
    offset = learner.bias - (learner.drawn * learner.negatives).log()
    for direction, head in enumerate(learner.heads):
        ids = input_ids if direction == 0 else input_ids.flip(0)
        lstm = (learner.encoder.forwards, learner.encoder.backwards)[direction][0]
        states = lstm(learner.embedding(ids)[None])[0][0]
        for place in range(len(ids)):
            for ahead in range(1, learner.distance + 1):
                if place + ahead >= len(ids):
                    continue
                target = int(ids[place + ahead])
                words = list(dict.fromkeys([target, *negatives.tolist()]))
                scores = learner.targets.weight[words] @ head(states[place]) + offset[words]
                share = float(learner.weight[target])
                total = total - share * scores.log_softmax(0)[0]
                weight += share
    return total / weight


@pytest.mark.parametrize("objective", ["language_model", "region"])
def test_the_loss_is_that_of_every_word_told_from_the_drawn_ones(objective: str):
    model = small_model(segment_length=16)
    counts = np.arange(1, 51)
    settings = PretrainingSettings(objective=objective, distance_tokens=3, negatives=12)
    learner = Pretraining(model, counts, settings).eval()
    input_ids, mask = ragged_batch(9)
    with torch.no_grad():
        torch.manual_seed(4)
        negatives = torch.multinomial(learner.drawn, learner.negatives)
        torch.manual_seed(4)
        loss = learner(input_ids, mask)["loss"]
        torch.testing.assert_close(loss, brute_force_loss(learner, input_ids[0], negatives))


def test_padding_of_a_batch_changes_no_loss():
    learner = Pretraining(small_model(segment_length=16), np.ones(50, dtype=int), SETTINGS).eval()
    input_ids, mask = ragged_batch(12, 5)
    other = torch.where(mask.bool(), input_ids, 7)
    with torch.no_grad():
        losses = []
        for ids in (input_ids, other):
            torch.manual_seed(0)
            losses.append(learner(ids, mask)["loss"])
    torch.testing.assert_close(losses[0], losses[1])


def test_frequent_words_are_targets_less_often_in_regions_only():
    counts = np.array([0] + [100_000] + [10] * 48)
    for objective, expected in (("region", False), ("language_model", True)):
        settings = PretrainingSettings(objective=objective)
        weight = Pretraining(small_model(), counts, settings).weight
        assert bool(weight[1] == weight[2]) is expected
        assert float(weight.max()) == 1.0


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
    again = Pretraining(model, np.ones(model.config.vocab_size, dtype=int), SETTINGS)
    assert again.embedding is model.embedding
    changed = {
        name for name, old in before.items() if not torch.equal(old, model.state_dict()[name])
    }
    assert changed
    assert {name.split(".")[0] for name in changed} == {"embedding", "encoder"}

    other = build_model(recipe, load_tokenizer(), ["negative", "positive"])
    assert np.isnan(pretrain(other, [tokenized], SETTINGS, work=tmp_path, seed=0))
    assert torch.equal(other.embedding.weight, model.embedding.weight)
    longer = PretrainingSettings(**{**SETTINGS.__dict__, "epochs": 6})
    assert pretrain(model, [tokenized], longer, work=tmp_path / "longer", seed=0) < first


def test_killed_and_called_again_it_ends_with_the_weights_of_an_undisturbed_one(
    sentences: DatasetDict, tmp_path: Path
):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    sentences["train"].save_to_disk(tmp_path / "reviews")
    command = [sys.executable, "-c", PRETRAIN_SCRIPT, str(tmp_path)]
    running = subprocess.Popen([*command, "killed"])
    while not (tmp_path / "killed").is_dir() or runs.newest_checkpoint(tmp_path / "killed") is None:
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "killed" / "pretrained.safetensors").exists()
    subprocess.run([*command, "killed"], check=True)
    subprocess.run([*command, "undisturbed"], check=True)
    killed, undisturbed = (
        load_file(tmp_path / name / "pretrained.safetensors") for name in ("killed", "undisturbed")
    )
    assert killed.keys() == undisturbed.keys()
    assert all(torch.equal(killed[name], undisturbed[name]) for name in killed)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["pretrained.safetensors"]
