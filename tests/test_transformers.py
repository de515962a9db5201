"""The folder in the hands of `transformers`, on a machine that has no sentiment-lstm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sentiment_lstm

TEXTS = ["A wonderful film, beautifully acted.", "dreadful", "not bad at all " * 60]

WITHOUT_THE_PACKAGE = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sentiment_lstm":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
from transformers import pipeline

classify = pipeline("text-classification", model=sys.argv[1], trust_remote_code=True)
print(json.dumps(classify(json.load(sys.stdin))))
"""


def test_a_pipeline_needs_nothing_but_the_folder(trained: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE, str(trained)],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for one, prediction in zip(found, sentiment_lstm.load(trained).predict(TEXTS), strict=True):
        assert one["label"] == prediction.label
        assert one["score"] == pytest.approx(prediction.confidence, abs=1e-5)
