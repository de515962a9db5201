"""The folder in the hands of transformers.js, on Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sentiment_lstm import artefact, runtime
from sentiment_lstm.classifier import Prediction
from sentiment_lstm.cli import app
from sentiment_lstm.errors import ModelError, SaveError
from sentiment_lstm.transformers_js import write_folder
from tests.conftest import ROOT

WEB = ROOT / "web"
BUNDLED = artefact.bundled_folder()
TEXTS = [
    "A wonderful film, beautifully acted.",
    "dreadful",
    "not bad at all " * 60,
    "Déjà vu<br /><br />but THE café scene is naïve… \U0001f600",
]

CLASSIFY = """
import { readFileSync } from "node:fs";
import { env, pipeline } from "@huggingface/transformers";

const [root, name, options] = process.argv.slice(-3);
env.allowRemoteModels = false;
env.localModelPath = root;
const classify = await pipeline("text-classification", name, JSON.parse(options));
const found = [];
for (const text of JSON.parse(readFileSync(0, "utf8"))) found.push(...(await classify(text)));
console.log(JSON.stringify(found));
"""


def classified(folder: Path, **options: str) -> list[dict]:
    """What the pipeline of transformers.js says of the texts, on a folder that it knows by name."""
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "@huggingface" / "transformers").is_dir():
        pytest.skip("needs Node and web/node_modules, which `make page` fetches")
    arguments = [str(folder.parent), folder.name, json.dumps(options)]
    done = subprocess.run(
        [node, "--input-type=module", "--eval", CLASSIFY, "--", *arguments],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        cwd=WEB,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_same(found: list[dict], expected: list[Prediction]) -> None:
    for one, prediction in zip(found, expected, strict=True):
        assert one["label"] == prediction.label
        assert one["score"] == pytest.approx(prediction.confidence, abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"dtype": "fp32"}], ids=str)
def test_its_pipeline_says_of_the_32_bit_file_what_python_says(
    options: dict, exported: Path, tmp_path: Path
):
    folder = write_folder(exported, tmp_path / "model")
    assert_same(
        classified(folder, **options), runtime.load(exported, batch_tokens=1).predict(TEXTS)
    )


@pytest.mark.parametrize("options", [{}, {"dtype": "q8"}], ids=str)
def test_its_pipeline_says_of_the_8_bit_file_what_python_says(options: dict, tmp_path: Path):
    folder = write_folder(BUNDLED, tmp_path / "model")
    assert_same(classified(folder, **options), runtime.load(BUNDLED, batch_tokens=1).predict(TEXTS))


def test_both_files_are_there_by_name_and_the_8_bit_one_is_taken_unasked(
    exported: Path, tmp_path: Path
):
    both = Path(shutil.copytree(exported, tmp_path / "both"))
    shutil.copyfile(BUNDLED / artefact.ONNX_QUANTIZED, both / artefact.ONNX_QUANTIZED)
    folder = write_folder(both, tmp_path / "model")
    assert [path.name for path in artefact.onnx_files(folder)] == [
        "model_quantized.onnx",
        "model.onnx",
    ]
    # Two different models under the two names, so that their answers tell which one was read.
    exact = runtime.load(exported, batch_tokens=1).predict(TEXTS)
    quantized = runtime.load(BUNDLED, batch_tokens=1).predict(TEXTS)
    assert_same(classified(folder), quantized)
    assert_same(classified(folder, dtype="fp32"), exact)


@pytest.mark.usefixtures("traced_once")
def test_export_writes_it_on_request(trained: Path, tmp_path: Path):
    model = Path(shutil.copytree(trained, tmp_path / "model"))
    app(["export", str(model), "--transformers-js", str(tmp_path / "web")], standalone_mode=False)
    assert json.loads((tmp_path / "web" / "config.json").read_text())["model_type"] == "bert"
    assert (tmp_path / "web" / "onnx" / "model.onnx").is_file()
    assert json.loads((model / "config.json").read_text())["model_type"] == "sentiment-lstm"


def test_an_earlier_folder_is_replaced_and_a_model_is_not(exported: Path, tmp_path: Path):
    for _ in range(2):
        write_folder(exported, tmp_path / "web")
    model = Path(shutil.copytree(exported, tmp_path / "model"))
    with pytest.raises(SaveError, match="not for transformers"):
        write_folder(exported, model)
    assert (model / artefact.WEIGHTS).is_file()


def test_a_folder_that_was_not_exported_is_refused(trained: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="sentiment-lstm export"):
        write_folder(trained, tmp_path / "web")
