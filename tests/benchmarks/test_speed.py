"""The benchmarks of speed run as they are called, and write figures that hang together."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from sentiment_lstm.runtime import available_cpus
from tests.benchmarks.results import BENCHMARKS, run
from tests.real_reviews import balanced_reviews, write_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("reviews") / "source", balanced_reviews(200, 80))


def test_prediction_is_timed_beside_its_rivals(exported: Path, source: Path, tmp_path: Path):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    pytest.importorskip("vaderSentiment", reason="needs the extra [benchmarks]: vaderSentiment")
    options = ["--source", source, "--reviews", "80", "--rounds", "1", "--no-encoders"]
    done = run(BENCHMARKS / "inference.py", exported, *options, "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "inference.json").read_text(encoding="utf-8"))
    speeds, ratios = content["reviews_per_second"], content["ratio"]
    assert speeds.keys() == ratios.keys()
    first, *others = speeds
    assert first == "sentiment-lstm, 8 bits"
    assert {"sentiment-lstm, PyTorch", "fastText bigrams", "VADER"} < set(others)
    for name, speed in speeds.items():
        assert speed > 0
        assert ratios[name] == pytest.approx(speeds[first] / speed, rel=0.02, abs=0.01)
        assert name in done.stdout
    assert content["reviews"] == 40  # half of the 80 were read to warm up
    assert content["threads"] == available_cpus()
    assert content["commit"] is None or re.match("[0-9a-f]{12}", content["commit"])
    single = content["single_review_ms"]
    assert single["reviews"] > 0
    assert 0 < single["p50"] <= single["p95"]
    assert content["fresh_process"]["first_answer_s"] > 0
    assert content["fresh_process"]["peak_memory_mib"] > 10
    assert str(tmp_path) not in json.dumps(content)


def test_the_server_is_timed_at_each_number_of_clients(
    exported: Path, source: Path, tmp_path: Path
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--source", source, "--requests", "64", "--port", port, "--threads", "1"]
    done = run(BENCHMARKS / "serving.py", exported, *options, "--results", tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "serving.json").read_text(encoding="utf-8"))
    assert (content["requests"], content["threads"]) == (64, 1)
    assert content["mean_characters"] > 100
    assert [load["clients"] for load in content["loads"]] == [1, 8, 64]
    for load in content["loads"]:
        assert (load["requests"], load["failed"]) == (64, 0)
        assert 0 < load["p50_ms"] <= load["p95_ms"] <= load["p99_ms"]
        # No client waits longer than all of them together take.
        assert load["p50_ms"] / 1000 < 64 / load["requests_per_second"]
    with socket.socket() as taken:  # the server is gone
        assert taken.connect_ex(("127.0.0.1", port)) != 0


def test_scoring_files_is_measured_at_each_number_of_rows(
    exported: Path, source: Path, tmp_path: Path
):
    results = tmp_path / "scoring.json"
    places = ["--work", tmp_path / "work", "--results", tmp_path]
    options = ["--source", source, "--no-engine", *places]
    done = run(BENCHMARKS / "scoring.py", exported, *options, "--rows", "1500")
    assert done.returncode == 0, done.stderr
    content = json.loads(results.read_text(encoding="utf-8"))
    # As if that had been another machine.
    [[point]] = content["curves"].values()
    content["machine"]["cpu"] = point["machine"]["cpu"] = "Abacus"
    results.write_text(json.dumps(content), encoding="utf-8")
    done = run(BENCHMARKS / "scoring.py", exported, *options, "--rows", "3000")
    assert done.returncode == 0, done.stderr
    content = json.loads(results.read_text(encoding="utf-8"))
    [(name, curve)] = content["curves"].items()
    assert name == "default, 2 x 16 units"
    assert [point["rows"] for point in curve] == [1500, 3000]
    for point in curve:
        assert 0 < point["scoring_seconds"]
        assert point["seconds"] > 0
        assert point["peak_memory_mib"] > 100  # Ray's own processes counted
    costs = content["costs"]["per_million"]
    assert 0 < costs["sentiment-lstm, default, 2 x 16 units"] < costs["per-call API"]
    report = (tmp_path / "scoring.md").read_text(encoding="utf-8")
    assert "| default, 2 x 16 units | 1,500 |" in report
    assert "| default, 2 x 16 units ¹ | 3,000 |" in report
    assert "¹ On another machine" in report
    assert report.splitlines()[-1].startswith("Abacus")
    assert not list((tmp_path / "work" / "scoring").iterdir())
