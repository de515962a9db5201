"""Training on several processes that `torchrun` started: who does what, and what if one is lost.

::

    shared out      every batch of every training, and the texts that teachers are asked about
    the first alone reading, splitting, tokenizing, choosing, saving, printing; the others wait

Without `torchrun` all of this is one process, and nothing here does anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from transformers import Trainer

from sentiment_lstm import torchrun
from sentiment_lstm.errors import RankError, RecipeError, SentimentError, first_line
from sentiment_lstm.runtime import available_cpus

__all__ = [
    "RankTrainer",
    "from_first",
    "is_first",
    "join",
    "losses_told",
    "rank",
    "share_of_batch",
    "size",
    "tell_once",
    "together",
    "trainer_arguments",
    "vary_seed",
    "wait",
]

T = TypeVar("T")

# A process that is killed is noticed at once, because its connections close. These limits are for
# one that hangs, or whose machine went without a word.
_STEP_LIMIT = timedelta(minutes=10)
_STAGE_LIMIT = timedelta(days=7)  # what the first process does alone may take long
_TELL_LIMIT = timedelta(seconds=10)
_TOLD = "told"
# How gloo, NCCL and the store word the loss of a process.
_LOSS_WORDS = ("gloo", "nccl", "connection", "timed out")


class _Group:
    """What is known of the other processes once this one has joined them."""

    store: Any = None
    patient: Any = None  # a group whose members may wait long for each other


def join() -> None:
    """Join the processes that `torchrun` started; without it, or joined already, do nothing.

    The cores of the machine are shared out to its processes, and a SIGTERM, by which `torchrun`
    stops the others when one has ended, becomes a :class:`RankError`.

    Raises:
        RankError: the processes cannot find each other.
    """
    if not torchrun.has_started_this() or distributed.is_initialized():
        return
    try:
        store, number, count = next(rendezvous("env://", timeout=_STEP_LIMIT))
        # Processes that --max-restarts starts again must not read where those before them were.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        _Group.store = PrefixStore(f"sentiment-lstm/{attempt}", store)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(
            backend, store=_Group.store, rank=number, world_size=count, timeout=_STEP_LIMIT
        )
        _Group.patient = distributed.new_group(backend="gloo", timeout=_STAGE_LIMIT)
    except (ValueError, RuntimeError) as error:
        raise RankError(
            f"The processes of this training did not find each other ({first_line(error)}). Start "
            "all of them by torchrun, on every machine with the same --nnodes and --rdzv-endpoint."
        ) from error
    threads = _threads()
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # `accelerate` would choose another
    torch.set_num_threads(threads)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)


def size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if _joined() else 0


def is_first() -> bool:
    """Whether this is the process that prints and writes."""
    return rank() == 0


def from_first(make: Callable[[], T]) -> T:
    """Give all processes what the first one makes while the others wait.

    Args:
        make: called in the first process, which has all cores to itself meanwhile. What it gives
            is pickled; a memory-mapped data set travels as the path of its file.

    Raises:
        SentimentError: what `make` raised, in every process.
    """
    if size() == 1:
        return make()
    box: list[Any] = [None]
    if is_first():
        try:
            with _all_cores():
                box = [(make(), None)]
        except SentimentError as error:
            box = [(None, error)]
    distributed.broadcast_object_list(box, src=0, group=_Group.patient)
    made, error = box[0]
    if error is not None:
        raise error
    return made


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Wait at the end until all processes are there; the mistake of one is raised in all."""
    if size() == 1:
        yield
        return
    mistake: SentimentError | None = None
    try:
        yield
    except SentimentError as error:
        mistake = error
    mistakes: list[Any] = [None] * size()
    distributed.all_gather_object(mistakes, mistake, group=_Group.patient)
    first = next((error for error in mistakes if error is not None), None)
    if first is not None:
        raise mistake or first


def wait() -> None:
    """Wait until all processes are here."""
    with together():
        pass


def share_of_batch(batch_size: int, setting: str = "training.batch_size") -> int:
    """Give this process's part of a batch.

    Raises:
        RecipeError: the batch cannot be shared out evenly.
    """
    count = size()
    if batch_size % count:
        fitting = [number for number in range(count, 0, -1) if batch_size % number == 0]
        raise RecipeError(
            f"{setting} is {batch_size}, which {count} processes cannot share out evenly. Start "
            f"{fitting[0]} of them (--nproc-per-node), or set it to a multiple of {count}."
        )
    return batch_size // count


def vary_seed(seed: int) -> None:
    """Let each process draw its own dropout; the first one draws what a single one would."""
    if rank() > 0:
        torch.manual_seed(seed + 1_000 * rank())


def trainer_arguments() -> dict[str, Any]:
    """Give what `TrainingArguments` needs to know of the processes; nothing for a single one."""
    if size() == 1:
        return {}
    on_cpu = not torch.cuda.is_available()
    return {
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu else None,
        "ddp_timeout": int(_STEP_LIMIT.total_seconds()),
        "ddp_find_unused_parameters": False,
        # A mean of each process's mean is that of the batch, because their parts are equal.
        "average_tokens_across_devices": False,
    }


class RankTrainer(Trainer):
    """`Trainer` whose checkpoints are whole only with the random states of all processes."""

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The first process writes last the file by which `runs.newest_checkpoint` knows a whole
        # checkpoint; without this, a kill could come before another has written its part.
        wait()


@contextlib.contextmanager
def losses_told(remedy: Callable[[], str]) -> Iterator[None]:
    """Turn what the libraries raise when another process is lost into one sentence.

    Args:
        remedy: what to do now, asked when it has happened.

    Raises:
        RankError: another process ended, or cannot be reached any longer.
    """
    try:
        yield
    except RuntimeError as error:
        if size() == 1 or isinstance(error, SentimentError):
            raise
        # When a connection has closed, the SIGTERM is still to come; it must not cut this short.
        _stop_no_more()
        what = _what_was_lost(error)
        if what is None:
            raise
        raise RankError(f"{what} {remedy()}") from error


def tell_once(tell: Callable[[], None]) -> None:
    """Let one process say what all of them would say, and the others wait until it has."""
    store = _Group.store
    if store is None:
        tell()
        return
    _stop_no_more()
    try:
        speaks = store.add(_TOLD, 1) == 1
    except RuntimeError:  # the machine that kept the store is gone
        speaks = True
    if speaks:
        tell()
    with contextlib.suppress(RuntimeError):
        if speaks:
            store.set(f"{_TOLD}/done", "1")
        else:
            store.wait([f"{_TOLD}/done"], _TELL_LIMIT)


class _Stopped(RuntimeError):
    """`torchrun` stops this process."""


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    _stop_no_more()  # once is enough
    raise _Stopped("SIGTERM")


def _stop_no_more() -> None:
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _what_was_lost(error: RuntimeError) -> str | None:
    """Say it in a sentence, or give None for an error that is not about the other processes."""
    if isinstance(error, _Stopped):
        return f"The training was told to stop, as it is when one of its {size()} processes ends."
    words = str(error).lower()
    if isinstance(error, distributed.DistError) or any(word in words for word in _LOSS_WORDS):
        return (
            f"One of the {size()} processes of this training ended, or cannot be reached any "
            "longer."
        )
    return None


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _threads() -> int:
    """Share the cores out to the processes of this machine, unless the user has chosen a number."""
    chosen = os.environ.get("OMP_NUM_THREADS", "1")  # 1 is what `torchrun` sets by itself
    if chosen.isdigit() and int(chosen) > 1:
        return int(chosen)
    return max(1, available_cpus() // int(os.environ.get("LOCAL_WORLD_SIZE", size())))


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(before, available_cpus()))
    try:
        yield
    finally:
        torch.set_num_threads(before)
