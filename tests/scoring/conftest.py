"""What the tests of scoring share: Ray on this machine, real texts, files of them."""

from __future__ import annotations

import csv
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from datasets import DatasetDict

WORKERS = 2


@pytest.fixture(scope="package")
def object_store() -> Iterator[None]:
    """An S3 server on this machine, of which Ray's workers are told when they start."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield
    server.stop()


@pytest.fixture(scope="package")
def here(object_store: None) -> Iterator[None]:
    """Ray on this machine, started once for all the tests that only need it running."""
    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        object_store_memory=100 << 20,
        logging_level=logging.CRITICAL,
        log_to_driver=False,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="package")
def address(here: None) -> str:
    """Where a process of its own finds that Ray, which it would take long to start."""
    return ray.get_runtime_context().gcs_address


@pytest.fixture(scope="session")
def texts(sentences: DatasetDict) -> list[str]:
    """Real sentences."""
    return [*sentences["train"]["text"], *sentences["test"]["text"]]


def write_csv(path: Path, texts: list[str], **columns: list) -> Path:
    """Write texts with an id, and other columns, to a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", *columns])
        writer.writerows(zip(range(len(texts)), texts, *columns.values(), strict=True))
    return path


def start(source: Path, output: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run as a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "sentiment_lstm", "score"),
            *(str(source), str(output), "--model", str(model), *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def parts(output: Path) -> list[Path]:
    """List what is known of the parts that a run has done."""
    return list((output / ".score" / "parts").glob("*/*.json"))


def tree(folder: Path) -> dict[str, bytes]:
    """Give the bytes of every file of a result, by name; the state of its run apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".score" not in path.parts
    }
