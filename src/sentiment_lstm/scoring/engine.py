"""Ray Data shares the parts out: one task a file reads them, one actor a CPU scores them.

A row of the dataset is a part of a file, with the place of the file and its own as its id; in which
order parts are scored does not matter, and Ray scores again what was lost with a machine.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

from sentiment_lstm.errors import DataError
from sentiment_lstm.runtime import available_cpus

__all__ = ["connected", "results", "run_parts", "submit"]

# A part is a few megabytes, and each worker has two waiting.
_OBJECT_STORE_BYTES = 512 << 20
_ANSWER_S = 10.0
_SMALLEST_BLOCK = 1  # bytes: each part is handed on as soon as it is read


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[int]:
    """Start Ray on this machine, or join a cluster.

    Args:
        address: of a cluster, such as `10.0.0.1:6379`; None for this machine alone.
        workers: how many processes score; None for one a CPU.

    Yields:
        The number of workers.

    Raises:
        DataError: the cluster cannot be reached.
    """
    if ray.is_initialized():  # by the program that calls this, which also ends it
        yield workers or _cpus()
        return
    # Ray's own words, of actors and object stores, would stand between those of this package.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    where: dict[str, Any] = {"address": address}
    if address is not None:
        _check_answers(address)
    else:
        where = {
            "address": "local",  # not that of a cluster which happens to run here
            "num_cpus": workers or available_cpus(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    try:
        with _silent_stderr():
            ray.init(**where, logging_level=logging.CRITICAL, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address or "this machine", error) from error
    try:
        yield workers or _cpus()
    finally:
        ray.shutdown()


def run_parts(
    files: Sequence[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]],
    score: type,
    arguments: Sequence[Any],
    *,
    model: Mapping[str, bytes],
    workers: int,
) -> Iterator[dict[str, Any]]:
    """Read files and score their parts, wherever there is a CPU.

    Args:
        files: what `read` is told of each.
        read: gives the parts of a file as `{rows: bytes, facts: dict}`; the facts hold the ids.
        score: made once in each worker, from the folder of the model and `arguments`; called with a
            part, gives facts.
        arguments: of `score`.
        model: the files of the model folder, which the workers need not share.
        workers: how many.

    Yields:
        The facts of each part, in any order.
    """
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _SMALLEST_BLOCK
    context.target_min_block_size = _SMALLEST_BLOCK
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    kept = ray.put(dict(model))  # here, so that it outlives every other machine
    told = [{"file": json.dumps(dict(file))} for file in files]
    dataset = ray.data.from_items(told, override_num_blocks=len(told))
    # Reading takes little, and would otherwise wait for a CPU that every worker holds for good.
    reading = TaskPoolStrategy(size=min(workers, len(told)))
    dataset = dataset.map_batches(_as_batches(read), batch_size=1, compute=reading, num_cpus=0)
    dataset = dataset.map_batches(
        _Worker,
        fn_constructor_args=(score, tuple(arguments), [kept]),
        batch_size=1,
        compute=ActorPoolStrategy(size=workers),
        num_cpus=1,
    )
    for row in dataset.iter_rows():
        yield json.loads(row["facts"])


def submit(task: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - Ray's reference
    """Run a function wherever there is room, beside the scoring."""
    return ray.remote(num_cpus=0, max_retries=3)(task).remote(*arguments)


def results(references: Sequence[Any]) -> list[Any]:
    """Wait for what was submitted."""
    return ray.get(list(references))


def _cpus() -> int:
    return max(int(ray.cluster_resources().get("CPU", 1)), 1)


def _check_answers(address: str) -> None:
    """Knock once: Ray itself goes on knocking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # such as `auto`
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> DataError:
    detail = " ".join(str(error).split())
    return DataError(
        f"{address}: no Ray cluster answers there ({detail:.160}). Check --address, which `ray "
        "start --head` prints, or leave it out to score on this machine."
    )


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what Ray's own threads say of its start away from the terminal; errors are raised."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _as_batches(read: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]) -> Callable:
    """Give what reads a file as Ray Data calls it."""

    def read_batch(batch: Mapping[str, Any]) -> Iterator[dict[str, list]]:
        for part in read(json.loads(batch["file"][0])):
            yield {"rows": [part["rows"]], "facts": [json.dumps(part["facts"])]}

    return read_batch


class _Worker:
    """What scores a part, as Ray Data calls it."""

    def __init__(self, score: type, arguments: tuple, kept: list) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sentiment-lstm-")
        files: Any = ray.get(kept[0])
        for name, content in files.items():
            path = Path(self._folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._score = score(self._folder.name, *arguments)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list]:
        [rows], [facts] = batch["rows"], batch["facts"]
        return {"facts": [json.dumps(self._score(rows, json.loads(facts)))]}
