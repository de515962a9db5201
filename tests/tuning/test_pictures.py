from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from PIL import Image

from sentiment_lstm.tuning.pictures import draw_history, save_pictures
from sentiment_lstm.tuning.space import Choices, Range, Space
from sentiment_lstm.tuning.study import TrialRecord, rank, read_trials, setting_importances

SPACE: Space = {
    "training.learning_rate": Range(low=1e-3, high=1e-1, log=True),
    "training.epochs": Range(low=1, high=4),
    "model.hidden_size": Choices(choices=(64, 128, 256)),
    "model.pooling": Choices(choices=("mean", "max")),
}


@pytest.fixture
def study() -> optuna.Study:
    """A study in which the learning rate decides, the epochs matter a little, the rest nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))

    def objective(trial: optuna.Trial) -> float:
        values = {name: entry.suggest(trial, name) for name, entry in SPACE.items()}
        value = 0.9 - 2 * values["training.learning_rate"] + 0.001 * values["training.epochs"]
        for name, figure in (("accuracy", value), ("log_loss", 1 - value), ("epochs", 3)):
            trial.set_user_attr(name, figure)
        trial.report(value, 1)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=25)
    return study


def test_the_setting_that_decides_is_the_most_important_and_few_trials_tell_nothing(
    study: optuna.Study,
):
    records = read_trials(study, SPACE)
    importances = setting_importances(study, records)
    assert importances.keys() == SPACE.keys()
    assert next(iter(importances)) == "training.learning_rate"
    assert importances["training.learning_rate"] > 0.5
    assert sum(importances.values()) == pytest.approx(1)
    assert setting_importances(study, records[:8]) == {}


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_every_picture_is_drawn(study: optuna.Study, tmp_path: Path, metric: str):
    records = read_trials(study, SPACE)
    written = save_pictures(
        tmp_path,
        records,
        SPACE,
        metric=metric,
        maximize=metric == "accuracy",
        importances=setting_importances(study, records),
    )
    assert [path.name for path in written] == ["history.png", "slices.png", "importances.png"]
    for path in written:
        with Image.open(path) as picture:
            assert picture.width > 600
            assert len(set(picture.convert("L").tobytes())) > 20


def test_the_history_marks_the_first_of_the_best_and_its_line_never_falls(study: optuna.Study):
    records = [
        TrialRecord(number=number, state=state, settings={}, value=value, accuracy=value)
        for number, state, value in [
            (0, "complete", 0.7),
            (1, "failed", None),
            (2, "complete", 0.8),
            (3, "pruned", 0.9),
            (4, "complete", 0.8),
            (5, "complete", 0.75),
        ]
    ]
    assert [record.number for record in rank(records, maximize=True)] == [2, 4, 5, 0]
    assert [record.number for record in rank(records, maximize=False)] == [0, 5, 2, 4]
    figure = draw_history(records, metric="accuracy", maximize=True)
    assert "Trial 2 is the best" in figure.get_suptitle()
    (axes,) = figure.axes
    line = next(line for line in axes.lines if line.get_label() == "best so far")
    assert list(line.get_ydata()) == pytest.approx([70, 80, 80, 80, 80])
