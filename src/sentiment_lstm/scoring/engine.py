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
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

from sentiment_lstm.errors import DataError
from sentiment_lstm.runtime import available_cpus

__all__ = ["Tasks", "connected", "run_parts"]

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
        # Of every part, Ray would keep for the dashboard when it began and when it ended.
        os.environ.setdefault("RAY_task_events_report_interval_ms", "0")
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
        score: made once in each worker, from the folder of the model, which is gone afterwards, and
            `arguments`; called with a part, gives facts.
        arguments: of `score`.
        model: the files of the model folder, which the workers need not share.
        workers: how many.

    Yields:
        The facts of each part, in any order.
    """
    kept = ray.put(dict(model))  # here, so that it outlives every other machine
    told = [{"file": json.dumps(dict(file))} for file in files]
    reading = TaskPoolStrategy(size=min(workers, len(told)))
    with _settings():
        dataset = ray.data.from_items(told, override_num_blocks=len(told))
        # Reading takes little, and would wait for a CPU that every worker holds for good.
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


class Tasks:
    """Functions that run wherever there is room, beside the scoring; so many at once.

    Args:
        limit: how many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[Any, Callable[..., Any], tuple]] = deque()
        self._running: dict[Any, Any] = {}

    def add(self, key: Any, task: Callable[..., Any], *arguments: Any) -> None:  # noqa: ANN401
        """Run a function when there is room.

        Args:
            key: what to call it.
            task: the function.
            arguments: of it.
        """
        self._waiting.append((key, task, arguments))

    def finished(self, *, wait: bool = False) -> Iterator[tuple[Any, Any]]:
        """Give the key and the result of each function that has ended since it was asked last.

        Args:
            wait: for all of them.
        """
        while self._waiting or self._running:
            while self._waiting and len(self._running) < self._limit:
                key, task, arguments = self._waiting.popleft()
                self._running[ray.remote(num_cpus=0)(task).remote(*arguments)] = key
            done, _ = ray.wait(list(self._running), timeout=None if wait else 0)
            for reference in done:
                yield self._running.pop(reference), ray.get(reference)
            if not done:
                return


@contextmanager
def _settings() -> Iterator[None]:
    """Set what Ray Data reads while it runs, and put it back."""
    context = DataContext.get_current()
    wanted = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_max_block_size": _SMALLEST_BLOCK,
        "target_min_block_size": _SMALLEST_BLOCK,
    }
    before = {name: getattr(context, name) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        logger.setLevel(level)


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
        files: Any = ray.get(kept[0])
        with tempfile.TemporaryDirectory(prefix="sentiment-lstm-") as folder:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._score = score(folder, *arguments)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list]:
        [rows], [facts] = batch["rows"], batch["facts"]
        return {"facts": [json.dumps(self._score(rows, json.loads(facts)))]}
