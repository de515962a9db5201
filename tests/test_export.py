from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from datasets import DatasetDict

from sentiment_lstm import artefact, prediction, runtime
from sentiment_lstm.errors import ModelError
from sentiment_lstm.export import _finish, _write_onnx, export, largest_difference
from sentiment_lstm.model import SentimentModel
from tests.contracts import POOLINGS, ragged_batch, small_model

CLASSIC = {
    "pooling": "last",
    "segment_length": None,
    "bidirectional": False,
    "fixed_length": 12,
    "mask_padding": False,
}
NGRAMS = {
    "ngram_buckets": 64,
    "ngram_scale": 0.7,
    "temperature": 1.3,
    "calibration_bias": [0.1, -0.2],
    "short_temperature": 0.8,
    "short_bias": [-0.3, 0.3],
    "short_tokens": [4, 20],
}


def model_with_ngrams(**settings: object) -> SentimentModel:
    model = small_model(**settings, **NGRAMS)
    assert model.ngrams is not None
    generator = torch.Generator().manual_seed(3)
    model.ngrams.weight.data.normal_(generator=generator)
    model.ngrams.bias.data.normal_(generator=generator)
    return model


@pytest.mark.parametrize("settings", [*POOLINGS, CLASSIC], ids=str)
def test_every_pooling_computes_the_same_as_an_onnx_graph(settings: dict, tmp_path: Path):
    model = model_with_ngrams(**settings)
    _write_onnx(model, tmp_path / "model.onnx")
    _finish(tmp_path / "model.onnx", metadata={"key": "value"})
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map == {"key": "value"}
    longest = 12 if settings is CLASSIC else 40
    for lengths in ([1], [2], [longest], [16 % longest, 1, 7, longest], [5] * 9):
        input_ids, mask = ragged_batch(*lengths)
        found = session.run(None, {"input_ids": input_ids.numpy(), "attention_mask": mask.numpy()})
        with torch.no_grad():
            logits = model(input_ids, mask).logits
            np.testing.assert_allclose(found[0], logits, atol=5e-6)
            if model.additive:
                np.testing.assert_allclose(
                    found[1], model.token_scores(input_ids, mask)[1], atol=5e-6
                )
    assert len(found) == (2 if model.additive else 1)


def test_the_exported_model_is_within_a_hundred_thousandth_over_the_whole_grid(exported: Path):
    model = prediction.load(exported).model
    difference = largest_difference(
        model,
        runtime.load(exported),
        batches=(1, 2, 7, 64),
        lengths=(1, 2, 63, 64, 65, 512, 5000),
    )
    assert difference < 1e-5
    # The comparison sees a difference where there is one.
    model.classifier.bias.data += torch.tensor([0.01, -0.01])
    assert largest_difference(model, runtime.load(exported), batches=(2,), lengths=(64,)) > 1e-4


def test_who_asks_for_labels_alone_gets_no_scores(exported: Path):
    session = onnxruntime.InferenceSession(exported / artefact.ONNX)
    ids = np.array([[101, 2307, 3185, 102]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    assert session.run(["token_scores"], feed)[0].shape == (1, 4, 2)
    assert session.run(["token_scores"], {**feed, "explain": np.array(False)})[0].size == 0


@pytest.mark.usefixtures("traced_once")
def test_eight_bits_are_kept_where_validation_reviews_say_so(
    trained: Path, sentences: DatasetDict, tmp_path: Path
):
    folder = Path(shutil.copytree(trained, tmp_path / "model"))
    result = export(folder, validation=sentences["test"])
    exact, small = result.files
    assert exact.accuracy is not None
    assert small.accuracy is not None
    assert small.kept == (small.accuracy >= exact.accuracy - 0.001)
    assert (folder / artefact.ONNX_QUANTIZED).is_file() == small.kept
    assert small.size_bytes < 0.35 * exact.size_bytes
    kept = json.loads((folder / artefact.ONNX_EXPORT).read_text())
    assert kept["files"][1]["accuracy"] == small.accuracy
    for file in runtime.load(folder), runtime.load(folder, file="model.onnx"):
        assert file.labels == ["negative", "positive"]


def test_eight_bits_that_nothing_can_judge_are_not_kept(exported: Path):
    assert not (exported / artefact.ONNX_QUANTIZED).exists()
    assert json.loads((exported / artefact.ONNX_EXPORT).read_text())["files"][1]["kept"] is False


@pytest.mark.usefixtures("traced_once")
def test_a_second_export_replaces_the_first(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / "onnx" / "model.onnx").write_bytes(b"old")
    export(folder)
    assert runtime.load(folder).predict(["fine"])


def test_a_folder_without_weights_cannot_be_exported(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError):
        export(folder)


@pytest.mark.usefixtures("traced_once")
def test_an_export_that_is_stopped_leaves_the_files_of_the_last_one(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentences: DatasetDict
):
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    before = {path.name: path.read_bytes() for path in (folder / "onnx").iterdir()}

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sentiment_lstm.export._compare", stop)
    with pytest.raises(KeyboardInterrupt):
        export(folder, validation=sentences["test"])
    assert {path.name: path.read_bytes() for path in (folder / "onnx").iterdir()} == before
