"""Scoring off the event loop: a few threads, a bounded queue before them, a time limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sentiment_lstm.serving.refusals import Refusal

__all__ = ["Scorer"]

T = TypeVar("T")


class Scorer:
    """Runs the model's work in threads.

    Args:
        threads: so much goes at once.
        max_waiting: so much more may wait.
        timeout_s: of waiting and working together.
    """

    def __init__(self, *, threads: int, max_waiting: int, timeout_s: float) -> None:
        self._limit = threads + max_waiting
        self._timeout_s = timeout_s
        self._taken = 0
        self._lock = threading.Lock()
        self._threads = threads
        self._pool = self._new_pool()

    async def run(self, work: Callable[[], T]) -> T:
        """Run one piece of work and wait for it.

        Raises:
            Refusal: there is too much to do already (503), or it took too long (504).
        """
        with self._lock:
            if self._taken >= self._limit:
                raise Refusal(503, "The server has more to do than it can hold. Try again soon.")
            self._taken += 1
        future = self._pool.submit(work)
        # Given back when the thread is really free: a client that was told 504 may have gone
        # while its work, which nothing can stop, still runs.
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._timeout_s)
        except TimeoutError as error:
            raise Refusal(
                504, f"The answer took longer than {self._timeout_s:g} s. Send fewer texts at once."
            ) from error

    def close(self) -> None:
        """Finish what runs, and drop what waits; an app may be started again after that."""
        ended, self._pool = self._pool, self._new_pool()
        ended.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._threads, thread_name_prefix="scoring")

    def _release(self, _: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1
