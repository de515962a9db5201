"""The classifiers that a recipe is compared with do what their names say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import baselines
from tests.benchmarks.results import TEST, TRAIN, by_row, measure, read
from tests.real_reviews import Rows


def test_a_baseline_tells_what_was_chosen_for_it_and_that_it_was_on_training_reviews(
    measured: Path,
):
    for name, candidates in (
        ("tfidf", baselines.TfidfNgrams.candidates),
        ("nb-ngrams", baselines.NbNgrams.candidates),
    ):
        selection = by_row(read(measured))[name]["selection"]
        assert selection["parameter"] == "C"
        assert selection["value"] in candidates
        # A whole number of the held-out tenth of the training split was right.
        right = selection["validation_accuracy"] * TRAIN * selection["held_out"]
        assert right == pytest.approx(round(right))


def test_fasttext_bigrams_learn_from_real_reviews(rows: Rows):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    row = baselines.FastTextBigrams(threads=1)
    texts = {split: [one["text"] for one in content] for split, content in rows.items()}
    labels = {
        split: torch.tensor([int(one["label"]) for one in content]).numpy()
        for split, content in rows.items()
    }
    # A learning rate that gets something out of five passes over so few reviews.
    row.fit(texts["train"], labels["train"], value=5.0, seed=0)
    probabilities = row.predict_proba(texts["test"])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(TEST))
    assert (probabilities.argmax(axis=1) == labels["test"]).mean() > 0.6
    row.fit(texts["train"], 1 - labels["train"], value=5.0, seed=0)
    assert (row.predict_proba(texts["test"]).argmax(axis=1) == labels["test"]).mean() < 0.4


def test_fasttext_is_a_row_like_the_others(source: Path, tmp_path: Path):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    run = measure(tmp_path, source, rows=["fasttext"], limit=60)["fasttext"]
    assert run["selection"]["parameter"] == "lr"
    assert run["selection"]["value"] in baselines.FastTextBigrams.candidates
    assert run["size_bytes"] > 4 * 10 * run["settings"]["bucket"]  # float32 vectors of 10


def test_without_its_package_fasttext_is_skipped_with_the_remedy(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setitem(sys.modules, "fasttext", None)  # as if it were not installed
    runs = measure(tmp_path, source, rows=["fasttext,tfidf"], limit=60)
    said = " ".join(capsys.readouterr().out.split())
    assert "fastText bigrams: skipped" in said
    assert "pip install 'sentiment-lstm[benchmarks]'" in said
    assert list(runs) == ["tfidf"]
    assert read(tmp_path)["reviews"] == {"train": 60, "test": 60}


def test_a_linear_baseline_gives_the_probabilities_of_its_regression():
    texts = ["a fine film", "fine acting", "a dull film", "dull acting"] * 5
    labels = np.array([1, 1, 0, 0] * 5)
    row = baselines.TfidfNgrams()
    row.fit(texts, labels, value=10.0, seed=0)
    probabilities = row.predict_proba(["fine", "dull", "film"])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3))
    assert probabilities[0, 1] > 0.9
    assert probabilities[1, 1] < 0.1
    row._weights = row._weights * 1e6  # surer than a float can say
    assert row.predict_proba(["fine", "dull"])[:, 1].tolist() == [1.0, 0.0]
