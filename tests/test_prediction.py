from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, pipeline

import sentiment_lstm
from sentiment_lstm.errors import ModelError, TextError
from sentiment_lstm.prediction import Classifier, load
from sentiment_lstm.recipes import load_recipe, override
from sentiment_lstm.training import train
from tests.contracts import TEXTS


@pytest.fixture(scope="module")
def classifier(trained: Path) -> Classifier:
    return load(trained)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder that a test may damage."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def test_a_prediction_is_the_most_probable_label_with_its_probability(classifier: Classifier):
    predictions = classifier.predict(TEXTS)
    probabilities = classifier.predict_proba(TEXTS)
    assert probabilities.shape == (len(TEXTS), 2)
    np.testing.assert_allclose(probabilities.sum(1), 1.0)
    for prediction, row in zip(predictions, probabilities, strict=True):
        assert prediction.label == classifier.labels[row.argmax()]
        assert prediction.confidence == row.max()
        assert list(prediction.probabilities.values()) == row.tolist()
        assert not prediction.truncated


def test_order_and_company_change_no_prediction(classifier: Classifier):
    together = classifier.predict_proba(TEXTS)
    backwards = classifier.predict_proba(TEXTS[::-1])[::-1]
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(backwards, together, atol=1e-6)
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_a_loaded_model_predicts_bit_for_bit_what_it_did_before_saving(
    classifier: Classifier, tmp_path: Path
):
    classifier.model.save_pretrained(tmp_path)
    classifier.tokenizer.save_pretrained(tmp_path)
    assert np.array_equal(load(tmp_path).logits(TEXTS), classifier.logits(TEXTS))


def test_confidence_is_calibrated_by_the_saved_temperature(classifier: Classifier, trained: Path):
    calibration = json.loads((trained / "calibration.json").read_text())
    assert classifier.model.config.temperature == calibration["temperature"]
    assert classifier.model.config.calibration_bias == calibration["bias"]
    short = calibration["short"] or {"temperature": None, "bias": None}
    assert classifier.model.config.short_temperature == short["temperature"]
    assert classifier.model.config.short_bias == short["bias"]
    assert calibration["log_loss_after"] <= calibration["log_loss_before"] + 1e-9
    assert classifier.thresholds == calibration["thresholds"]


def test_a_label_is_withheld_below_the_threshold_and_keeps_all_else(classifier: Classifier):
    plain = classifier.predict(TEXTS)
    confidence = sorted(prediction.confidence for prediction in plain)
    withheld = classifier.predict(TEXTS, abstain=confidence[3])
    assert sum(prediction.abstained for prediction in withheld) == 3
    for before, after in zip(plain, withheld, strict=True):
        assert not before.abstained
        assert after.abstained == (after.confidence < confidence[3])
        assert (after.label, after.confidence) == (before.label, before.confidence)
        values = json.loads(json.dumps(after.to_dict()))
        assert values["label"] == (None if after.abstained else before.label)
        assert values["abstained"] == after.abstained
        assert values["probabilities"] == before.probabilities


def test_the_threshold_of_the_folder_counts_unless_another_is_given(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "abstain_below": 1.0}))
    classifier = load(copied)
    assert classifier.abstain_below == 1.0
    assert all(prediction.abstained for prediction in classifier.predict(TEXTS))
    assert not any(prediction.abstained for prediction in classifier.predict(TEXTS, abstain=0))


@pytest.mark.parametrize("abstain", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(classifier: Classifier, abstain: float):
    with pytest.raises(TextError, match=r"threshold to abstain below is .* from 0 to 1"):
        classifier.predict(TEXTS, abstain=abstain)


def test_a_threshold_out_of_range_in_the_config_is_named(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "abstain_below": 90}))
    with pytest.raises(ModelError, match="abstain_below is 90; expected from 0 to 1"):
        load(copied)


@pytest.mark.parametrize("content", [None, "{}", '{"thresholds": 3}'])
def test_a_folder_without_thresholds_loads_as_before(copied: Path, content: str | None):
    if content is None:
        (copied / "calibration.json").unlink()
    else:
        (copied / "calibration.json").write_text(content)
    assert load(copied).thresholds == {}


def test_the_public_name_loads_it_too(trained: Path):
    assert isinstance(sentiment_lstm.load(trained), sentiment_lstm.Classifier)


def test_transformers_pipeline_gives_the_same_scores(classifier: Classifier, trained: Path):
    scores = pipeline("text-classification", model=str(trained))(TEXTS)
    for score, prediction in zip(scores, classifier.predict(TEXTS), strict=True):
        assert score["label"] == prediction.label
        assert score["score"] == pytest.approx(prediction.confidence, abs=1e-5)


def test_a_megabyte_of_text_is_read_whole(classifier: Classifier):
    (prediction,) = classifier.predict(["terrible " * 120_000])
    assert prediction.length_tokens == 120_002
    assert not prediction.truncated


def test_progress_counts_every_text(classifier: Classifier):
    done: list[int] = []
    classifier.predict_proba(TEXTS * 3, on_progress=done.append)
    assert sum(done) == 3 * len(TEXTS)


def test_no_text_gives_no_prediction(classifier: Classifier):
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 2)


def test_an_empty_text_is_an_error_unless_allowed(classifier: Classifier):
    with pytest.raises(TextError, match="Text 2 is empty"):
        classifier.predict(["fine", " <br /> "])
    assert len(classifier.predict(["fine", ""], allow_blank=True)) == 2


def test_a_text_that_classic_cuts_is_marked(sentences, tmp_path: Path):
    recipe = override(load_recipe("classic"), ["training.epochs=1", "model.hidden_size=4"])
    train(sentences, recipe, tmp_path / "model", evaluate_test=False)
    long, short = load(tmp_path / "model").predict(["word " * 200, "word " * 126])
    assert (long.truncated, long.length_tokens) == (True, 202)
    assert (short.truncated, short.length_tokens) == (False, 128)


def test_weights_of_other_shapes_than_the_config_are_named(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "hidden_size": 7}))
    with pytest.raises(ModelError, match=r"model: .*config\.json.*Copy both again"):
        load(copied)


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_weights_that_lack_a_tensor_or_have_another_are_named(copied: Path, change: str):
    weights = load_file(copied / "model.safetensors")
    if change == "missing":
        del weights["classifier.bias"]
    else:
        weights["classifier.scale"] = torch.ones(2)
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"does not hold the weights.*classifier\.(bias|scale)"):
        load(copied)


def test_a_config_with_an_impossible_setting_is_named(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "pooling": "median"}))
    with pytest.raises(ModelError, match="pooling is 'median'"):
        load(copied)


def test_truncated_weights_are_named(copied: Path):
    os.truncate(copied / "model.safetensors", 5000)
    with pytest.raises(ModelError, match=r"model\.safetensors: (truncated|holds 5,000 bytes)"):
        load(copied)


def test_a_tokenizer_of_another_model_is_refused(copied: Path):
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["onemore"] = 30522
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"tokenizer\.json is not the one that this model was"):
        load(copied)
    # A folder of an older version keeps no hash; the sizes must fit all the same.
    config = json.loads((copied / "config.json").read_text())
    del config["tokenizer_sha256"]
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"30,523 word pieces, the model 30,522"):
        load(copied)


def test_auto_model_reads_the_folder(trained: Path):
    model = AutoModelForSequenceClassification.from_pretrained(trained)
    assert model.config.id2label == {0: "negative", 1: "positive"}
