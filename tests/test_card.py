from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import sentiment_lstm
from sentiment_lstm import artefact, runs
from sentiment_lstm.calibration import Calibration, calibrate
from sentiment_lstm.card import model_card
from sentiment_lstm.metrics import score_predictions
from sentiment_lstm.recipes import load_recipe
from tests.drawn_logits import drawn

TRAINING = {
    "data": {"source": "reviews.csv"},
    "facts": {"Recipe": "default"},
    "recipe": load_recipe("default").to_dict(),
}


def card(calibration: Calibration | None, test: dict[str, Any] | None) -> str:
    """The card of a model named `mine`, its line breaks as spaces."""
    text = model_card(
        name="mine",
        labels=["negative", "positive"],
        metrics={} if test is None else {"test": test},
        training=TRAINING,
        calibration=None if calibration is None else calibration.to_dict(),
    )
    return " ".join(text.split())


def measured(right: int, wrong: int) -> dict[str, Any]:
    """Reviews that were rightly classified at 97 %, and wrongly at 60 %."""
    probabilities = [[0.03, 0.97]] * right + [[0.4, 0.6]] * wrong
    labels = [1] * right + [0] * wrong
    return score_predictions(probabilities, labels, label_names=["bad", "good"]).summary()


def test_the_card_shows_the_calibration_error_and_the_coverage_of_the_test():
    shown = card(None, measured(60, 40))
    assert (
        "On the 100 test reviews, the expected calibration error is 0.2580, and 60.00 % of them "
        "can be answered at an accuracy of 99 %, from a confidence of 0.9700."
    ) in shown


def test_the_card_says_that_the_accuracy_is_out_of_reach():
    assert "and no confidence gives an accuracy of 99 %." in card(None, measured(0, 5))


@pytest.mark.parametrize("test", [None, {"reviews": 5, "accuracy": 0.8}])
def test_the_card_of_a_model_that_was_not_so_measured_has_no_such_sentence(test: dict | None):
    assert "test reviews" not in card(None, test)


def test_the_card_tells_what_was_fitted_and_how_to_abstain():
    logits, labels = drawn(2000, 2)
    leaning = calibrate(logits + np.array([1.0, 0.0]), labels)
    assert leaning.bias is not None
    shown = card(leaning, measured(60, 40))
    assert f"a bias a class is added ({leaning.bias[0]:+.4f}, {leaning.bias[1]:+.4f})" in shown
    error = leaning.expected_calibration_error_cross_validated
    assert f"on reviews left out of the fit it is {error:.4f}" in shown
    assert (
        '$ sentiment-lstm predict mine "A wonderful film, beautifully acted." --abstain 9' in shown
    )


def test_the_card_of_few_reviews_speaks_of_no_bias_and_no_threshold():
    logits, labels = drawn(15, 2)
    shown = card(calibrate(logits, labels), measured(60, 40))
    assert "a bias" not in shown
    assert "left out of the fit" not in shown
    assert "--abstain" not in shown


def test_the_card_of_the_packages_model_is_that_of_its_files_and_shows_what_works_with_them():
    folder = artefact.bundled_folder()
    training = artefact.read_json(folder / artefact.TRAINING)
    calibration = artefact.read_json(folder / artefact.CALIBRATION)
    assert training["facts"] == runs.facts(training, training["seconds"], training["reviews"])
    shown = (folder / artefact.CARD).read_text(encoding="utf-8")
    assert shown == model_card(
        name="sentiment-lstm-imdb",
        labels=sentiment_lstm.load().labels,
        metrics=artefact.read_json(folder / artefact.METRICS),
        training=training,
        calibration=calibration,
        bundled=True,
    )
    (code,) = re.findall(r"```python\n(.*?)```", shown, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["model"].thresholds == calibration["thresholds"]
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", shown):
        assert (folder / picture).is_file()
