from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.scoring.conftest import tree, write_csv

LIMIT_S = 300
REPEATS = 12  # of each text: about 20 parts in all


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two machines of one CPU each, as far as Ray can tell."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": 100 << 20,
            "include_dashboard": False,
        },
    )
    yield cluster
    cluster.shutdown()


def test_a_machine_lost_in_the_middle_changes_no_byte(
    cluster: Cluster, exported: Path, texts: list[str], tmp_path: Path
):
    second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    for name in ("a", "b", "c"):
        repeated = [f"{name} {text} {number}" for number in range(REPEATS) for text in texts]
        write_csv(tmp_path / "in" / f"{name}.csv", repeated)
    command = [sys.executable, "-m", "sentiment_lstm", "score", str(tmp_path / "in")]
    options = ["--model", str(exported), "--address", cluster.address]
    run = subprocess.Popen(
        [*command, str(tmp_path / "out"), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + LIMIT_S
    while len(list((tmp_path / "out" / ".score" / "parts").glob("*/*.json"))) < 4:
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)
    said, _ = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, said
    assert f"{3 * REPEATS * len(texts):,} rows in" in said

    subprocess.run([*command, str(tmp_path / "alone"), *options], check=True, capture_output=True)
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
