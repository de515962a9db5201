"""Processes of their own that start at once, forked from one that has imported the libraries.

PyTorch and `transformers` take a process several seconds to import, often longer than its work then
takes. What is set in the environment for their import must be there before the first process
starts; a test of the import itself, or of a command that starts processes, uses `subprocess`.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

__all__ = [
    "LIMIT_S",
    "Started",
    "run_code",
    "run_command",
    "start_code",
    "start_command",
    "wait_for",
]

LIMIT_S = 240

_Found = TypeVar("_Found")

_COMMAND = "from sentiment_lstm.cli import main; main()"
_FORK_SERVER = multiprocessing.get_context("forkserver")
_FORK_SERVER.set_forkserver_preload(
    [
        "sentiment_lstm.cli",
        "sentiment_lstm.evaluation",
        "sentiment_lstm.export",
        "sentiment_lstm.training",
    ]
)
_STREAMS = tempfile.TemporaryDirectory()
atexit.register(_STREAMS.cleanup)


class Started:
    """A process that may still run."""

    def __init__(self, process: ForkServerProcess, streams: Path) -> None:
        self._process = process
        self._streams = streams

    def read(self, stream: str = "stdout") -> str:
        """What it has written to `stdout` or `stderr` so far."""
        return (self._streams / stream).read_bytes().decode()

    def wait_until(self, happened: Callable[[], _Found | None]) -> _Found:
        """Wait for something that it does, and give the first answer that is not false.

        Raises:
            AssertionError: it ended before.
        """
        return _wait(happened, self.assert_running)

    def wait_for_line(self, line: str) -> None:
        """Wait until it has printed this line; raises as `wait_until` does."""
        self.wait_until(lambda: line in self.read().splitlines())

    def assert_running(self) -> None:
        """Fail with what it has to say if it has ended."""
        assert self._process.is_alive(), f"it ended too early\n{self.read()}\n{self.read('stderr')}"

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.join()

    def wait(self) -> int:
        """Wait for its end, and give its exit status."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def wait_for(
    happened: Callable[[], _Found | None], process: Popen[str], *, limit_s: float = LIMIT_S
) -> _Found:
    """Wait for something that a process of `subprocess` does; as `Started.wait_until` does.

    Raises:
        AssertionError: it ended before, or took longer than the limit.
    """
    end = time.monotonic() + limit_s

    def assert_in_time() -> None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end

    return _wait(happened, assert_in_time)


def start_code(
    code: str,
    *arguments: object,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Started:
    """Start `python -c code arguments...`.

    Args:
        code: what the process runs.
        arguments: in its `sys.argv`, behind the first place.
        stdin: what it can read.
        cwd: the folder that it stands in; that of the tests by default.
        environment: variables besides those of the tests.
    """
    streams = Path(tempfile.mkdtemp(dir=_STREAMS.name))
    for stream, content in (("stdin", stdin), ("stdout", b""), ("stderr", b"")):
        (streams / stream).write_bytes(content)
    process = _FORK_SERVER.Process(
        target=_execute,
        args=(
            code,
            ["-c", *map(str, arguments)],
            streams,
            cwd or Path.cwd(),
            {**os.environ, **(environment or {})},
        ),
    )
    process.start()
    return Started(process, streams)


def run_code(code: str, *arguments: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run `python -c code arguments...` to its end, whatever that is."""
    return _finished(start_code(code, *arguments, cwd=cwd))


def start_command(
    *arguments: object,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Started:
    """Start `sentiment-lstm arguments...`."""
    return start_code(_COMMAND, *arguments, stdin=stdin, cwd=cwd, environment=environment)


def run_command(
    *arguments: object,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> CompletedProcess[str]:
    """Run `sentiment-lstm arguments...` to its end, whatever that is."""
    return _finished(start_command(*arguments, stdin=stdin, cwd=cwd, environment=environment))


def _wait(happened: Callable[[], _Found | None], check: Callable[[], None]) -> _Found:
    while not (found := happened()):
        check()
        time.sleep(0.01)
    return found


def _finished(started: Started) -> CompletedProcess[str]:
    status = started.wait()
    return CompletedProcess([], status, started.read(), started.read("stderr"))


def _execute(
    code: str, arguments: list[str], streams: Path, cwd: Path, environment: dict[str, str]
) -> None:
    os.dup2(os.open(streams / "stdin", os.O_RDONLY), 0)
    for number, stream in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(streams / stream, os.O_WRONLY | os.O_APPEND), number)
    # multiprocessing closes the first; the others may be those of the process that was forked.
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path.insert(0, "")  # as `python -c` does
    sys.argv = arguments
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
