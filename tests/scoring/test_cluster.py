from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.processes import LIMIT_S, wait_for
from tests.scoring.conftest import parts, start, tree, write_csv

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
    run = start(tmp_path / "in", tmp_path / "out", exported, "--address", cluster.address)
    wait_for(lambda: len(parts(tmp_path / "out")) >= 4, run)
    cluster.remove_node(second, allow_graceful=False)
    said, _ = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 0, said
    assert f"{3 * REPEATS * len(texts):,} rows in" in said

    alone = start(tmp_path / "in", tmp_path / "alone", exported, "--address", cluster.address)
    said, _ = alone.communicate(timeout=LIMIT_S)
    assert alone.returncode == 0, said
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")
