"""Ordered classes and many of them, from a file of reviews to predictions and reports."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from transformers import pipeline

from sentiment_lstm.calibration import log_loss
from sentiment_lstm.cli import main
from sentiment_lstm.data import load_reviews
from sentiment_lstm.estimator import SentimentClassifier
from sentiment_lstm.evaluation import evaluate
from sentiment_lstm.prediction import Classifier, load
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.training import train
from tests.real_classifiers import labelled
from tests.star_ratings import read_star_ratings, write_star_ratings

STARS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
SMALL = ["model.pretrained_embeddings=false", "model.ngram_buckets=4096", "training.epochs=2"]


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, str]]:
    """All of the middle, which is rare, and a quarter of the rest."""
    found = read_star_ratings(STARS)
    return [row for place, row in enumerate(found) if row[1] == "3 stars" or place % 4 == 0]


@pytest.fixture(scope="module")
def reviews(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stars") / "stars.csv"
    write_star_ratings(path, rows)
    return path


@pytest.fixture(scope="module")
def splits(reviews: Path) -> DatasetDict:
    return load_reviews(reviews, text_column="review", label_column="stars")


@pytest.fixture(scope="module")
def folder(
    splits: DatasetDict, quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("stars") / "model"
    recipe = override(quick_recipe, [*SMALL, "training.ordinal=true"])
    train(splits, recipe, output, evaluate_test=False)
    return output


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return load(folder)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["sentiment-lstm", *map(str, arguments)])
    try:
        main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def test_the_order_of_the_stars_is_kept_on_the_way_to_the_model(classifier: Classifier):
    assert classifier.labels == STARS
    assert classifier.ordinal


def test_an_ordinal_prediction_carries_its_expected_value(
    classifier: Classifier, splits: DatasetDict
):
    for prediction in classifier.predict(splits["test"]["text"][:5]):
        shares = list(prediction.probabilities.values())
        assert prediction.expected_value == pytest.approx(np.dot(shares, [1, 2, 3, 4, 5]))
        assert prediction.to_dict()["expected_value"] == prediction.expected_value
        assert prediction.label == classifier.labels[int(np.argmax(shares))]


def test_a_model_without_an_order_has_no_expected_value(trained: Path):
    classifier = load(trained)
    assert not classifier.ordinal
    assert classifier.predict(["fine"])[0].expected_value is None


def test_transformers_pipeline_reads_an_ordinal_model(folder: Path, classifier: Classifier):
    text = "A waste of time, dull from start to end."
    (score,) = pipeline("text-classification", model=str(folder))([text])
    (prediction,) = classifier.predict([text])
    assert score["label"] == prediction.label
    assert score["score"] == pytest.approx(prediction.confidence, abs=1e-5)


def test_only_the_training_sees_soft_targets(
    splits: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    part = splits["train"].train_test_split(test_size=60, seed=0)
    data = DatasetDict(train=part["train"].select(range(120)), validation=part["test"])
    small = [*SMALL, "model.ngram_buckets=0", "training.epochs=8", "training.patience=0"]
    flat = override(quick_recipe, [*small, "training.ordinal=true", "training.ordinal_slope=0.01"])
    steep = override(quick_recipe, [*small, "training.ordinal=true", "training.ordinal_slope=90"])
    hard = override(quick_recipe, small)
    results = {
        name: train(data, recipe, tmp_path / name)
        for name, recipe in (("flat", flat), ("steep", steep), ("hard", hard))
    }
    losses = {name: result.history[-1].train_loss for name, result in results.items()}
    assert losses["steep"] == pytest.approx(losses["hard"], rel=1e-4)
    assert losses["flat"] == pytest.approx(np.log(5), abs=0.05), "no target says more than chance"
    assert losses["hard"] < losses["flat"] - 0.1
    for name, result in results.items():
        calibration = result.calibration
        assert calibration is not None
        # Against class ids, from the saved model with its temperature taken out.
        found = load(tmp_path / name)
        logits = found.logits(list(part["test"]["text"])) * found.model.config.temperature
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = log_loss(shares, part["test"]["label"])
        kept = result.history[result.best_epoch - 1]
        assert kept.validation_loss == pytest.approx(expected, rel=1e-4)


def test_the_commands_show_distances_and_expected_values(
    folder: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("COLUMNS", "100")
    columns = ["--text-column", "review", "--label-column", "stars", "--output", tmp_path / "out"]
    assert run(monkeypatch, "evaluate", folder, reviews, *columns) == 0
    printed = capsys.readouterr().out
    values = json.loads((tmp_path / "out" / "metrics.json").read_text())
    found = values["ordinal"]
    confusion = np.array(values["confusion"])
    distance = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    assert found["mean_absolute_error"] == pytest.approx(
        (confusion * distance).sum() / confusion.sum()
    )
    page = (tmp_path / "out" / "report.html").read_text()
    for name, figure in (
        ("mean error", f"{found['mean_absolute_error']:.4f}"),
        ("within one", f"{found['within_one']:.2%}"),
        ("quadratic kappa", f"{found['quadratic_kappa']:.4f}"),
    ):
        assert re.search(rf"{name} +{re.escape(figure)}", printed), name
        assert figure in page

    assert run(monkeypatch, "predict", folder, "Dull.", "Great fun!", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert run(monkeypatch, "predict", folder, "Dull.", "Great fun!") == 0
    printed = capsys.readouterr().out
    assert "expected" in printed.splitlines()[0]
    for line in lines:
        assert 1 < line["expected_value"] < 5
        assert f"{line['expected_value']:.2f}" in printed


def test_unordered_models_show_no_distances(
    trained: Path, sentences: DatasetDict, monkeypatch: pytest.MonkeyPatch, capsys
):
    assert evaluate(load(trained), sentences["test"]).ordinal is None
    assert run(monkeypatch, "predict", trained, "Dull.") == 0
    assert "expected" not in capsys.readouterr().out


def test_two_classes_and_names_without_numbers_are_warned_of(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path, caplog
):
    recipe = override(quick_recipe, [*SMALL, "training.ordinal=true", "training.epochs=1"])
    train(sentences, recipe, tmp_path / "two", evaluate_test=False)
    assert "no more than smooth the labels where there are two, negative < positive" in caplog.text
    caplog.clear()
    three = _of_classes(["bad", "fine", "good"], sentences)
    train(three, recipe, tmp_path / "three", evaluate_test=False)
    assert "in the order bad < fine < good. If that is not theirs" in caplog.text


def test_the_estimator_orders_labels_by_number_and_sorts_its_columns_as_scikit_learn_does(
    rows: list[tuple[str, str]],
):
    texts = [text for text, _ in rows[:160]]
    points = [{"1 star": "1", "2 stars": "2", "4 stars": "9"}.get(name, "10") for _, name in rows]
    labels = points[:160]
    overrides = [*SMALL, "training.ordinal=true", "training.epochs=1"]
    estimator = SentimentClassifier("default", overrides=overrides, random_state=0)
    estimator.fit(texts, labels)
    assert estimator.classes_.tolist() == ["1", "10", "2", "9"]
    assert estimator.classifier_.labels == ["1", "2", "9", "10"]
    ours = estimator.predict_proba(texts[:3])
    theirs = estimator.classifier_.predict(texts[:3])
    for row, prediction in zip(ours, theirs, strict=True):
        assert row.tolist() == [prediction.probabilities[name] for name in estimator.classes_]
    assert estimator.predict(texts[:3]).tolist() == [prediction.label for prediction in theirs]


@pytest.mark.parametrize("classes", [3, 12])
def test_many_and_unequal_classes_go_all_the_way(
    classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, sentences: DatasetDict
):
    """Sentences sorted by what is real in them: their polarity, and their length in words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    _write_lengths(tmp_path / "many.csv", classes, sentences)
    (tmp_path / "tiny.toml").write_text(
        'summary = "Tiny."\n[model]\nembedding_size = 8\nhidden_size = 8\nngram_buckets = 4096\n'
        "[training]\nepochs = 1\nbatch_size = 20\n"
    )
    ordinal = ["--set", "training.ordinal=true"]
    assert run(monkeypatch, "data", "many.csv") == 0
    train_it = ["train", "many.csv", "--recipe", "tiny.toml", "--output", "model", *ordinal]
    assert run(monkeypatch, *train_it) == 0
    assert run(monkeypatch, "evaluate", "model", "many.csv", "--output", "out") == 0
    values = json.loads(Path("out/metrics.json").read_text())
    assert len(values["labels"]) == len(values["confusion"]) == classes
    assert values["labels"] == sorted(values["labels"], key=lambda name: int(name.split()[0]))
    absent = values["labels"][-1]
    assert values["roc_auc"] is None
    assert values["roc_auc_missing"] == f"there is no review of {absent}"
    assert 0 <= values["ordinal"]["within_one"] <= 1
    assert {"confusion-matrix.png", "roc.png"} <= {path.name for path in Path("out").iterdir()}
    assert run(monkeypatch, "predict", "model", "fine") == 0
    assert any(name in capsys.readouterr().out for name in values["labels"])


def test_a_limit_too_small_for_the_classes_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, sentences: DatasetDict
):
    monkeypatch.chdir(tmp_path)
    _write_lengths(tmp_path / "many.csv", 12, sentences)
    assert run(monkeypatch, "train", "many.csv", "--limit", "5", "--output", "model") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("Error: --limit 5")
    assert len(error.splitlines()) == 1


def _of_classes(names: list[str], sentences: DatasetDict) -> DatasetDict:
    """The training sentences in classes by their number of words."""
    texts = list(sentences["train"]["text"])
    words = np.array([len(text.split()) for text in texts])
    labels = np.searchsorted(np.quantile(words, np.linspace(0, 1, len(names) + 1)[1:-1]), words)
    return DatasetDict(train=labelled(texts, [names[label] for label in labels], names))


def _write_lengths(path: Path, classes: int, sentences: DatasetDict) -> None:
    """Classes by length, each three quarters of the one before; the last is not in test."""
    names = [f"{place} words" for place in range(1, classes + 1)]
    shares = np.cumsum(0.75 ** np.arange(classes))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for split in ("train", "test"):
            texts = sorted(sentences[split]["text"], key=lambda text: len(text.split()))
            for place, text in enumerate(texts):
                share = place / len(texts) * shares[-1]
                label = int(np.searchsorted(shares, share, side="right"))
                if not (split == "test" and label == classes - 1):
                    writer.writerow([text, names[label], split])
