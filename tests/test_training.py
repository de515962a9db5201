from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file

from sentiment_lstm import runs
from sentiment_lstm.errors import DataError, RecipeError, SaveError
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import Recipe, load_recipe, override
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.training import EpochRecord, train
from tests import contracts
from tests.processes import run_code, start_code

# Trains as the tests do, in a process of its own that can be killed.
TRAIN_SCRIPT = """
import sys
from datasets import load_from_disk
from sentiment_lstm.recipes import load_recipe
from sentiment_lstm.training import train
folder, name = sys.argv[1:3]
train(
    load_from_disk(f"{folder}/reviews"),
    load_recipe(f"{folder}/recipe.toml"),
    f"{folder}/{name}",
    seed=3,
    resume="--resume" in sys.argv,
    on_epoch=lambda record: print(record.epoch, flush=True),
)
"""

RECIPE = """
summary = "Small, and long enough to be killed in the middle."
[model]
embedding_size = 16
hidden_size = 16
segment_length = 8
word_dropout = 0.2
classifier_dropout = 0.3
[training]
epochs = 5
batch_size = 20
learning_rate = 1e-2
warmup_share = 0.2
validation_size = 0.2
patience = 4
segments = 1
sentences = 40
sentence_group = 3
"""


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    contracts.assert_same_weights(weights(one), weights(other))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    sentences: DatasetDict, quick_recipe: Recipe, trained: Path, tmp_path: Path
):
    for name, seed in (("same", 1), ("other", 2)):
        train(sentences, quick_recipe, tmp_path / name, seed=seed, evaluate_test=False)
    assert_same_weights(tmp_path / "same", trained)
    same, other = weights(tmp_path / "same"), weights(tmp_path / "other")
    assert not torch.equal(same["classifier.weight"], other["classifier.weight"])


def test_a_killed_and_resumed_training_ends_with_the_weights_of_an_undisturbed_one(
    sentences: DatasetDict, tmp_path: Path
):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    sentences.save_to_disk(tmp_path / "reviews")
    running = start_code(TRAIN_SCRIPT, tmp_path, "killed")
    running.wait_for_line("2")
    work = tmp_path / "killed.training"
    running.wait_until(lambda: runs.newest_checkpoint(work))
    running.assert_running()
    running.kill()
    assert not (tmp_path / "killed").exists()

    resumed = run_code(TRAIN_SCRIPT, tmp_path, "killed", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.split()[0] in {"2", "3"}, "it must not begin again"
    # In a process of its own as well: what other tests have set must not matter.
    undisturbed = run_code(TRAIN_SCRIPT, tmp_path, "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert_same_weights(tmp_path / "killed", tmp_path / "undisturbed")
    assert not work.exists()


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path):
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_'), (15, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state:
            (folder / "trainer_state.json").write_text(state)
    assert runs.newest_checkpoint(tmp_path) == tmp_path / "checkpoint-5"


def test_an_unfinished_training_is_neither_overwritten_nor_resumed_with_other_settings(
    tmp_path: Path,
):
    run = {"recipe": {"training": {"epochs": 3}}, "seed": 1}
    work = runs.open_folder(tmp_path / "model", run, resume=False, restart=False)
    (work / "checkpoint-5").mkdir()
    (work / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5}')
    with pytest.raises(SaveError, match=r"unfinished training.*--resume.*--restart"):
        runs.open_folder(tmp_path / "model", run, resume=False, restart=False)
    other = {"recipe": {"training": {"epochs": 4}}, "seed": 1}
    with pytest.raises(RecipeError, match=r"recipe\.training\.epochs was 3, is 4"):
        runs.open_folder(tmp_path / "model", other, resume=True, restart=False)
    assert runs.open_folder(tmp_path / "model", run, resume=True, restart=False) == work
    assert runs.newest_checkpoint(work) is not None
    runs.open_folder(tmp_path / "model", other, resume=False, restart=True)
    assert runs.newest_checkpoint(work) is None


def test_every_epoch_reports_loss_and_accuracy_and_the_best_is_kept(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    records: list[EpochRecord] = []
    recipe = override(quick_recipe, ["model.ngram_buckets=0"])  # so that the LSTM decides alone
    result = train(
        sentences, recipe, tmp_path / "model", evaluate_test=False, on_epoch=records.append
    )
    assert [record.epoch for record in records] == [1, 2]
    assert result.history == records
    for record in records:
        assert 0 < record.train_loss < 2
        assert 0 <= record.train_accuracy <= 1
        assert record.validation_loss is not None
    best = max(records, key=lambda record: (record.validation_accuracy, -record.epoch))
    assert result.best_epoch == best.epoch
    saved = json.loads((tmp_path / "model" / "metrics.json").read_text())
    assert saved["validation"]["accuracy"] == best.validation_accuracy
    assert sum(result.reviews[split] for split in ("train", "validation")) == 400


def test_classic_trains_without_a_validation_split_and_shows_its_training_accuracy(
    sentences: DatasetDict, tmp_path: Path
):
    recipe = override(load_recipe("classic"), ["training.epochs=1", "model.hidden_size=8"])
    result = train(sentences, recipe, tmp_path / "model")
    (record,) = result.history
    assert record.validation_loss is None
    assert 0.3 < record.train_accuracy < 0.8
    assert result.calibration is None
    assert result.reviews == {"train": 400, "validation": 0, "dropped": 0}
    assert not (tmp_path / "model" / "calibration.json").exists()
    assert load(tmp_path / "model").max_length_tokens == 128
    lengths = load_tokenizer(clean_markup=False)(list(sentences["train"]["text"]))["input_ids"]
    share = 1 - sum(map(len, lengths)) / (400 * 128)
    assert result.padding_share == pytest.approx(share)


def test_the_folder_tells_how_it_was_trained(trained: Path, quick_recipe: Recipe):
    training = json.loads((trained / "training.json").read_text())
    assert training["recipe"] == quick_recipe.to_dict()
    assert training["seed"] == 1
    assert training["versions"]["torch"] == torch.__version__
    assert len(training["data"]["train"]) == 16
    assert [record["epoch"] for record in training["history"]] == [1, 2]
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics.keys() == {"validation", "test"}
    card = (trained / "README.md").read_text()
    assert f"{100 * metrics['test']['accuracy']:.2f} %" in card
    assert training["data"]["train"] in card
    assert f"calibration error is {metrics['test']['expected_calibration_error']:.4f}" in card
    assert (trained / "learning-curves.png").read_bytes()[:4] == b"\x89PNG"
    assert any((trained / "runs").iterdir())


def test_blank_reviews_are_left_out_and_counted(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path, caplog
):
    def blanken(row: dict, index: int) -> dict:
        return {"text": "<br />" if index < 3 else row["text"]}

    spoilt = DatasetDict(train=sentences["train"].map(blanken, with_indices=True))
    recipe = override(quick_recipe, ["training.epochs=1"])
    result = train(spoilt, recipe, tmp_path / "model")
    assert result.reviews["dropped"] == 3
    assert "3 of 400 training texts are empty" in caplog.text


def test_reviews_of_one_class_are_refused(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    one = sentences["train"].filter(lambda label: label == 1, input_columns="label")
    with pytest.raises(DataError, match="all of one class"):
        train(DatasetDict(train=one), quick_recipe, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_model_setting_out_of_range_is_named_before_any_training(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ["model.classifier_dropout=1.5"])
    with pytest.raises(RecipeError, match=r"section \[model\]: classifier_dropout is 1\.5"):
        train(sentences, recipe, tmp_path / "model")


def test_a_folder_of_other_files_is_refused_before_any_training(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SaveError, match="holds files that are no model"):
        train(sentences, quick_recipe, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_another_recipe_never_shares_a_training_folder_silently(quick_recipe: Recipe):
    changed = dataclasses.replace(quick_recipe, name="other")
    one = runs.describe(quick_recipe, seed=0, source="", train=_one_review(), validation=None)
    two = runs.describe(changed, seed=0, source="", train=_one_review(), validation=None)
    assert one != two


def _one_review():
    from datasets import Dataset

    return Dataset.from_dict({"text": ["a"], "label": [0]})
