"""Tasks that run at the same time, a thread each, with gradients."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Task = Callable[..., tuple[Tensor, ...]]
_Found = TypeVar("_Found")

_PAUSE_SOFT = 1  # omp_pause_soft, of omp.h
_FIRST_PROCESS = os.getpid()  # its forks have none of its threads


def side_by_side(
    tasks: Sequence[Task], inputs: Sequence[Tensor], parameters: Sequence[Tensor] = ()
) -> list[tuple[Tensor, ...]]:
    """Run each task in a thread of its own, and let gradients flow back as they would otherwise.

    PyTorch shares every operation among its threads, which then wait for each other; an LSTM does
    so at every step, and its two directions, read one after the other, gain little by a second
    core. Read at the same time they wait once.

    Args:
        tasks: each takes the inputs and gives tensors. They draw no random numbers, and what they
            differentiate beside the inputs and the parameters gets no gradient.
        inputs: what every task is called with.
        parameters: of the modules that the tasks use.

    Returns:
        The results of each task.
    """
    threads = torch.get_num_threads()
    if len(tasks) < 2 or threads < len(tasks) or not _is_plain(inputs):
        return [task(*inputs) for task in tasks]
    workers = _workers(len(tasks), threads, os.getpid())
    if not torch.is_grad_enabled():
        return _in_threads(workers, partial(_run, inputs=inputs), tasks)
    sizes: list[int] = []  # how many tensors each task gives
    every: Any = _SideBySide.apply(workers, tasks, sizes, len(inputs), *inputs, *parameters)
    results = iter(every)
    return [tuple(next(results) for _ in range(size)) for size in sizes]


class _SideBySide(torch.autograd.Function):
    """Every task has a graph of its own, which is walked back in a thread of its own."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        workers: ThreadPoolExecutor,
        tasks: Sequence[Task],
        sizes: list[int],
        count: int,
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        inputs, parameters = tensors[:count], tensors[count:]
        graphs = _in_threads(workers, partial(_record, inputs=inputs), tasks)
        ctx.workers, ctx.graphs = workers, graphs
        ctx.parameters = parameters
        ctx.set_materialize_grads(False)
        sizes.extend(len(results) for _, results in graphs)
        return tuple(result.detach() for _, results in graphs for result in results)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - what the decorator makes
        ctx: Any,  # noqa: ANN401
        *gradients: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        rest = iter(gradients)
        parts = [[next(rest) for _ in results] for _, results in ctx.graphs]
        walk = partial(_walk_back, parameters=ctx.parameters)
        by_task = _in_threads(ctx.workers, walk, ctx.graphs, parts)
        ctx.graphs = None  # what they kept is not needed any more
        sums = [_sum(found) for found in zip(*by_task, strict=True)]
        return (None, None, None, None, *sums)


def _in_threads(
    workers: ThreadPoolExecutor, work: Callable[..., _Found], *of_tasks: Iterable[Any]
) -> list[_Found]:
    """Do the work for every task, in a thread each, with a core for each of them.

    PyTorch's own threads spin for some milliseconds after every operation, ready for the next one,
    and would be one too many. They are ended, and start again, in less than a tenth of one. Not in
    a fork, where OpenMP would wait for ever for threads that are not there.
    """
    if os.getpid() == _FIRST_PROCESS:
        _openmp_pause()(_PAUSE_SOFT)
    return list(workers.map(work, *of_tasks))


@cache
def _openmp_pause() -> Callable[[int], int]:
    """Find what ends the calling thread's idle helpers in the OpenMP that PyTorch has loaded.

    Elsewhere than in GNU's it does nothing.

    Source: `omp_pause_resource_all`, OpenMP Application Programming Interface 5.0, section 3.2.44.
    """
    if sys.platform == "linux":
        beside = (Path(torch.__file__).parent / "lib").glob("libgomp*.so*")
        for name in ("libgomp.so.1", *map(str, beside)):
            try:
                library = ctypes.CDLL(name, mode=os.RTLD_NOLOAD)
            except OSError:
                continue
            if hasattr(library, "omp_pause_resource_all"):
                return library.omp_pause_resource_all
    return lambda _: 0


def _run(task: Task, *, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        return task(*inputs)


def _record(task: Task, *, inputs: Sequence[Tensor]) -> tuple[list[Tensor], tuple[Tensor, ...]]:
    """Run a task on inputs of its own, at which its graph ends."""
    ends = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in inputs]
    with torch.enable_grad():
        return ends, task(*ends)


def _walk_back(
    graph: tuple[list[Tensor], tuple[Tensor, ...]],
    gradients: Sequence[Tensor | None],
    *,
    parameters: Sequence[Tensor],
) -> list[Tensor | None]:
    """Give the gradients of the inputs and of the parameters, None where there is none."""
    ends, results = graph
    wanted = [tensor for tensor in (*ends, *parameters) if tensor.requires_grad]
    known = [
        (result, gradient)
        for result, gradient in zip(results, gradients, strict=True)
        if gradient is not None and result.requires_grad
    ]
    outputs, of_outputs = zip(*known, strict=True) if known else ((), ())
    found: Any = iter(
        torch.autograd.grad(outputs, wanted, of_outputs, allow_unused=True)
        if outputs and wanted
        else [None] * len(wanted)
    )
    return [next(found) if tensor.requires_grad else None for tensor in (*ends, *parameters)]


def _sum(gradients: Sequence[Tensor | None]) -> Tensor | None:
    known = [gradient for gradient in gradients if gradient is not None]
    return sum(known[1:], known[0]) if known else None


def _is_plain(inputs: Sequence[Tensor]) -> bool:
    """Whether threads make no difference to what is computed: not in a graph that is exported."""
    return (
        not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and all(tensor.device.type == "cpu" for tensor in inputs)
    )


@cache
def _workers(number: int, threads: int, process: int) -> ThreadPoolExecutor:
    """Start threads that share the given number of PyTorch's among them."""
    del process  # a fork of this one has none of its threads
    workers = ThreadPoolExecutor(
        number,
        thread_name_prefix="side-by-side",
        initializer=_limit_threads,
        initargs=(threads // number,),
    )
    barrier = threading.Barrier(number)
    for started in [workers.submit(barrier.wait) for _ in range(number)]:
        started.result()
    # Their number is their own, but the last one set would be that of threads started later.
    torch.set_num_threads(threads)
    return workers


def _limit_threads(number: int) -> None:
    """Set how many threads PyTorch uses in the calling one."""
    torch.get_num_threads()  # sets it to the default when a thread first asks, or later unasked
    torch.set_num_threads(number)
