from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import optuna
import pytest
from datasets import Dataset, DatasetDict
from filelock import FileLock
from transformers import EvalPrediction

from sentiment_lstm.errors import RecipeError, SaveError
from sentiment_lstm.recipes import Recipe, load_recipe, override, recipe_names, recipe_toml
from sentiment_lstm.training import train
from sentiment_lstm.tuning.search import TuningResult, tune
from sentiment_lstm.tuning.study import STUDY, TrialRecord
from sentiment_lstm.tuning.trials import Judge
from tests.processes import Started, run_command, start_command

SPACE = """
[training.learning_rate]
low = 1e-3
high = 3e-2
log = true
[training.batch_size]
choices = [16, 32]
[training.epochs]
low = 1
high = 2
[training.label_smoothing]
choices = [0.0, 0.1]
[pretraining.objective]
choices = ["none", "region"]
[model.hidden_size]
choices = [4, 8]
"""
TINY = [
    "model.embedding_size=8",
    "model.hidden_size=8",
    "model.ngram_buckets=4096",
    "model.pretrained_embeddings=false",
    "pretraining.objective=none",
    "training.epochs=1",
    "training.learning_rate=1e-2",
    "training.sentences=20",
]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return override(load_recipe("default"), TINY)


@pytest.fixture(scope="module")
def reviews(sentences: DatasetDict) -> DatasetDict:
    """200 real sentences, and a test split that nobody could read a text from."""
    return DatasetDict(
        train=sentences["train"].select(range(200)), test=Dataset.from_dict({"nothing": [1]})
    )


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def found(
    reviews: DatasetDict, recipe: Recipe, space: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TuningResult, list[TrialRecord]]:
    """A real search of three trials that nothing disturbed; read its folder, never write it."""
    told: list[TrialRecord] = []
    output = tmp_path_factory.mktemp("found") / "study"
    result = tune(reviews, recipe, output, trials=3, space=space, seed=1, on_trial=told.append)
    return result, told


def deeds(records: list[TrialRecord]) -> list[tuple]:
    """What the finished trials tried and gave, without their numbers and times."""
    return [
        (record.settings, record.value, record.accuracy, record.log_loss, record.kept_epoch)
        for record in records
        if record.state != "failed"
    ]


def test_a_search_tells_of_its_trials_and_leaves_its_files(found):
    result, told = found
    assert told == result.trials
    assert [record.number for record in told] == [0, 1, 2]
    assert len({json.dumps(record.settings) for record in told}) == 3
    complete = [record for record in told if record.state == "complete"]
    assert result.best.value == max(record.value for record in complete)
    for record in complete:
        assert record.value == record.accuracy
        assert record.epochs == record.settings["training.epochs"]
        assert 1 <= record.kept_epoch <= record.epochs
    rows = (result.output / "trials.csv").read_text().splitlines()
    assert rows[0].startswith("number,state,value,accuracy,log_loss,epochs,kept_epoch,seconds,")
    assert len(rows) == 4
    assert [path.name for path in result.pictures] == ["history.png", "slices.png"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in result.pictures)
    assert sorted(path.name for path in (result.output / "trials").iterdir()) == [
        "000",
        "001",
        "002",
    ]


def test_a_trial_reports_to_the_pruner_by_epochs_whatever_its_batches(found):
    result, _ = found
    url = f"sqlite:///{result.output / STUDY}"
    trials = optuna.load_study(study_name=None, storage=url).get_trials()
    for trial in trials:
        assert list(trial.intermediate_values) == list(
            range(1, trial.params["training.epochs"] + 1)
        )


def test_the_winner_is_a_recipe_whose_training_gives_the_figure_of_its_trial(
    found, reviews: DatasetDict, tmp_path: Path
):
    result, _ = found
    path = result.output / "tuned.toml"
    text = path.read_text()
    assert text.startswith("# The best of 3 trials")
    assert f"# Trial {result.best.number}: validation accuracy {result.best.accuracy:.4f}" in text
    recipe = load_recipe(path)
    assert recipe == result.recipe
    assert recipe.name not in recipe_names()
    values = recipe.to_dict()
    for name, value in result.best.settings.items():
        section, _, key = name.partition(".")
        assert values[section][key] == value
    trained = train(reviews, recipe, tmp_path / "model", seed=1, evaluate_test=False)
    assert trained.validation_accuracy == result.best.accuracy
    assert trained.calibration is not None
    assert trained.calibration.log_loss_after == result.best.log_loss
    assert trained.best_epoch == result.best.kept_epoch


def test_a_killed_search_goes_on_with_the_same_trials_as_an_undisturbed_one(
    found, reviews: DatasetDict, recipe: Recipe, space: Path, tmp_path: Path
):
    undisturbed, _ = found
    base, output, folder = tmp_path / "tiny.toml", tmp_path / "study", tmp_path / "source"
    # With a test split of its own, or a part of the reviews would be cut off as one.
    folder.mkdir()
    reviews["train"].to_json(folder / "train.jsonl")
    (folder / "test.jsonl").write_text('{"text": "Never read.", "label": 0}\n')
    base.write_text(recipe_toml(recipe))
    command = ["tune", folder, "--trials", "3", "--recipe", base, "--space", space, "--seed", "1"]
    command += ["--output", output]
    environment = {"COLUMNS": "1000", "TERM": "dumb"}
    search = start_command(*command, environment=environment)
    search.wait_until(lambda: "\ntrial   0" in search.read())
    _wait_for_a_running_trial(search, output)
    search.kill()

    done = run_command(*command, environment=environment)
    assert done.returncode == 0, done.stderr
    assert "1 cut and repeated" in done.stdout
    assert "trial   3   learning_rate=" in done.stdout
    assert f"--recipe {output / 'tuned.toml'}" in done.stdout
    again = tune(DatasetDict(train=reviews["train"]), recipe, output, trials=3, space=space, seed=1)
    assert [record.state for record in again.trials].count("failed") == 1
    assert len(again.trials) == 4
    assert deeds(again.trials) == deeds(undisturbed.trials)
    assert (again.trials_before, again.trials_cut) == (3, 0)


def _wait_for_a_running_trial(search: Started, output: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{output / STUDY}")
    study = optuna.load_study(study_name=None, storage=storage)
    running = (optuna.trial.TrialState.RUNNING,)
    search.wait_until(
        lambda: any(len(trial.params) == 6 for trial in study.get_trials(states=running))
    )
    storage.remove_session()
    storage.engine.dispose()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ("recipe", r"recipe\.model\.word_dropout was 0\.\d+, is 0\.5"),
        ("space", r"space\.model\.hidden_size\.choices was \[4, 8\], is \[4, 8, 12\]"),
        ("metric", "metric was 'accuracy', is 'log_loss'"),
        ("data", "data.train was '[0-9a-f]+', is '[0-9a-f]+'"),
        ("seed", "seed was 1, is 2"),
    ],
)
def test_a_study_of_something_else_is_refused_and_left_as_it_is(
    found,
    reviews: DatasetDict,
    recipe: Recipe,
    space: Path,
    tmp_path: Path,
    changed: str,
    complaint: str,
):
    output = found[0].output
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    other = tmp_path / "other.toml"
    other.write_text(SPACE.replace("[4, 8]", "[4, 8, 12]" if changed == "space" else "[4, 8]"))
    if changed == "recipe":
        recipe = override(recipe, ["model.word_dropout=0.5"])
    if changed == "data":
        reviews = DatasetDict(train=reviews["train"].select(range(150)))
    with pytest.raises(RecipeError, match=rf"holds a search of something else.*{complaint}"):
        tune(
            reviews,
            recipe,
            output,
            trials=4,
            space=other,
            seed=2 if changed == "seed" else 1,
            metric="log_loss" if changed == "metric" else "accuracy",
        )
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_values_that_contradict_each_other_end_a_trial_not_the_search(
    reviews: DatasetDict, recipe: Recipe, tmp_path: Path
):
    space = tmp_path / "space.toml"
    space.write_text(
        "[model.pooling]\nchoices = ['last']\n[model.segment_length]\nchoices = [64, 0]\n"
    )
    few = DatasetDict(train=reviews["train"].select(range(60)))
    output = tmp_path / "study"
    whole = override(recipe, ["training.segments=0"])  # which would contradict no segments as well
    result = tune(few, whole, output, trials=6, space=space, pruner="none", seed=3)
    by_length = {
        length: {
            (at.state, "pooling='last'" in at.note)
            for at in result.trials
            if at.settings["model.segment_length"] == length
        }
        for length in (64, 0)
    }
    assert by_length == {64: {("pruned", True)}, 0: {("complete", False)}}
    assert result.best.settings == {"model.pooling": "last", "model.segment_length": 0}


def test_restart_throws_the_study_away_and_a_time_limit_still_gives_one_trial(
    found, reviews: DatasetDict, recipe: Recipe, space: Path, tmp_path: Path
):
    output = tmp_path / "study"
    shutil.copytree(found[0].output, output)
    few = DatasetDict(train=reviews["train"].select(range(60)))
    result = tune(
        few,
        recipe,
        output,
        trials=5,
        space=space,
        metric="log_loss",
        pruner="hyperband",
        restart=True,
        time_limit_min=1e-9,
    )
    (trial,) = result.trials
    assert trial.value == trial.log_loss
    assert [path.name for path in (output / "trials").iterdir()] == ["000"]


def test_a_second_search_in_the_same_folder_is_refused(
    found, reviews: DatasetDict, recipe: Recipe, space: Path
):
    output = found[0].output
    with (
        FileLock(output / ".lock"),
        pytest.raises(SaveError, match="another search is at work there"),
    ):
        tune(reviews, recipe, output, trials=3, space=space, seed=1)


def test_a_file_that_is_no_study_is_named(
    reviews: DatasetDict, recipe: Recipe, space: Path, tmp_path: Path
):
    (tmp_path / STUDY).write_text("no database at all, but long enough to be read as one" * 9)
    with pytest.raises(SaveError, match=r"study\.db: is no study that can be gone on with"):
        tune(reviews, recipe, tmp_path, trials=1, space=space)


@pytest.mark.parametrize(
    ("assignments", "options", "complaint"),
    [
        (
            ["training.patience=0", "model.ngram_buckets=0", "training.validation_size=0.0"],
            {},
            "0, so that there would be no",
        ),
        (["distillation.teachers=['self']"], {}, "a search asks no teachers"),
        ([], {"metric": "acuracy"}, "Did you mean 'accuracy'"),
        ([], {"pruner": "medan"}, "Did you mean 'median'"),
        ([], {"trials": 0}, "trials is 0; expected at least 1"),
        ([], {"time_limit_min": 0}, "0 minutes; expected above 0"),
    ],
)
def test_a_search_that_could_tell_nothing_is_refused_before_it_begins(
    reviews: DatasetDict,
    recipe: Recipe,
    tmp_path: Path,
    assignments: list[str],
    options: dict,
    complaint: str,
):
    with pytest.raises(RecipeError, match=complaint):
        tune(reviews, override(recipe, assignments), tmp_path / "study", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_model_setting_out_of_its_range_is_refused_before_any_trial(
    reviews: DatasetDict, recipe: Recipe, tmp_path: Path
):
    space = tmp_path / "space.toml"
    space.write_text("[model.classifier_dropout]\nlow = 0.0\nhigh = 1.0\n")
    with pytest.raises(RecipeError, match=r"\[model.classifier_dropout\] holds 1\.0"):
        tune(reviews, recipe, tmp_path / "study", space=space)
    assert not (tmp_path / "study").exists()


def test_a_diverged_training_is_pruned_and_never_judged():
    judge = Judge()
    scores = np.array([[0.0, 1.0], [np.nan, 0.0]])
    with pytest.raises(optuna.TrialPruned, match="diverged"):
        judge(EvalPrediction(predictions=scores, label_ids=np.array([1, 0])))
    assert (judge.epochs, judge.kept_epoch, judge.accuracy) == (1, None, None)


def test_the_figures_are_those_of_the_epoch_that_training_would_keep():
    judge = Judge()
    labels = np.array([1, 1, 0, 0])
    good = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.1]])  # 3 of 4
    sure = np.array([[0.0, 9.0], [0.0, 9.0], [9.0, 0.0], [0.0, 0.1]])  # as right, and surer
    bad = -good
    figures = [
        judge(EvalPrediction(predictions=scores, label_ids=labels)) for scores in (bad, good, sure)
    ]
    assert [at["accuracy"] for at in figures] == [0.25, 0.75, 0.75]
    assert judge.kept_epoch == 2
    assert figures[2]["kept_log_loss"] == figures[1]["kept_log_loss"] == judge.log_loss
    judge = Judge()
    judge.others = np.array([[0.0, 5.0], [0.0, 5.0], [5.0, 0.0], [5.0, 0.0]])  # n-grams: all right
    judge(EvalPrediction(predictions=good, label_ids=labels))
    assert judge.accuracy == 1.0
