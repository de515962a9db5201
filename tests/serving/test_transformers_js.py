"""The folder in the hands of transformers.js, on Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sentiment_lstm import runtime

WEB = Path(__file__).resolve().parents[2] / "web"
TEXTS = ["A wonderful film, beautifully acted.", "dreadful", "not bad at all " * 60]

# Its list of model types is closed. `bert` names one that takes the same two inputs and gives
# logits; nothing else of BERT comes with the name, for the graph is that of the ONNX file.
CLASSIFY = """
import { readFileSync } from "node:fs";
import { env, pipeline } from "@huggingface/transformers";

const [root, name, dtype] = process.argv.slice(-3);
const texts = JSON.parse(readFileSync(0, "utf8"));
env.allowRemoteModels = false;
env.localModelPath = root;
const read = JSON.parse(readFileSync(`${root}/${name}/config.json`, "utf8"));
const config = { ...read, model_type: "bert", architectures: ["BertForSequenceClassification"] };
const classify = await pipeline("text-classification", name, { dtype, config });
const found = [];
for (const text of texts) found.push(...(await classify(text)));
console.log(JSON.stringify(found));
"""


def test_its_pipeline_says_what_python_says(exported: Path):
    node = shutil.which("node")
    if node is None or not (WEB / "node_modules" / "@huggingface" / "transformers").is_dir():
        pytest.skip("needs Node and web/node_modules, which `make page` fetches")
    file = runtime.artefact.onnx_files(exported)[0].name
    dtype = "q8" if "quantized" in file else "fp32"
    done = subprocess.run(
        [
            node,
            "--input-type=module",
            "--eval",
            CLASSIFY,
            "--",
            str(exported.parent),
            exported.name,
            dtype,
        ],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        cwd=WEB,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = runtime.load(exported, batch_tokens=1).predict(TEXTS)
    for one, prediction in zip(found, expected, strict=True):
        assert one["label"] == prediction.label
        assert one["score"] == pytest.approx(prediction.confidence, abs=1e-3)
