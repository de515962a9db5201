from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment_lstm import runtime

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "score_on_spark.py"


@pytest.mark.skipif(
    shutil.which("java") is None or importlib.util.find_spec("pyspark") is None,
    reason="needs Java and pyspark, `pip install 'sentiment-lstm[spark]'`",
)
def test_spark_scores_every_row_with_the_same_scorer(
    exported: Path, texts: list[str], tmp_path: Path
):
    table = pa.table({"id": range(102), "text": [*texts[:100], None, " "]})
    pq.write_table(table, tmp_path / "in.parquet")
    environment = {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_SUBMIT_ARGS": "--master local[2] --conf spark.ui.enabled=false pyspark-shell",
    }
    done = subprocess.run(
        [
            *(sys.executable, str(EXAMPLE)),
            *(str(tmp_path / "in.parquet"), str(tmp_path / "out"), "--model", str(exported)),
        ],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = pq.read_table(tmp_path / "out").sort_by("id").to_pylist()
    assert [row["id"] for row in found] == list(range(102))
    assert [row["text"] for row in found] == table.column("text").to_pylist()
    expected = runtime.load(exported, batch_tokens=1).predict(texts[:100])
    for row, prediction in zip(found, expected, strict=False):
        assert row["confidence"] == pytest.approx(prediction.confidence, abs=0.02)
        assert (row["truncated"], row["rejected"]) == (False, None)
    assert found[100]["rejected"].startswith("is null")
    assert found[101]["rejected"].startswith("is empty")
    assert [row["label"] for row in found[100:]] == [None, None]
