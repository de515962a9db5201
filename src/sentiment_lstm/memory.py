"""Memory that a training frees is kept for its next step."""

from __future__ import annotations

import contextlib
import ctypes
import platform
from collections.abc import Iterator

__all__ = ["freed_memory_kept", "share_one_arena"]

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_ALL = 2**31 - 1
# What glibc's own adjusting ends with where large tensors come and go.
_USUAL_MMAP_THRESHOLD = 32 * 2**20
_depth = 0


def share_one_arena() -> None:
    """Let all threads take their memory from one arena, for as long as the process lives.

    To be called before anything starts threads, as the import of PyArrow does. glibc gives a thread
    an arena of its own, which holds no block above 64 MiB: an LSTM keeps 80 for a batch, and they
    would come from the system at every step, :func:`freed_memory_kept` or not.

    Source: mallopt(3).
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_ARENA_MAX, 1)


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory of freed tensors in the process, to be used again, until the end.

    glibc gives large blocks back to the system as soon as they are freed, and the system clears
    them, page by page, before it hands them out again. The tensors that an LSTM keeps for its
    backward pass are such blocks; a training spent a quarter of its time on them. Peak memory stays
    what it is. Elsewhere than on glibc nothing is done.

    Source: mallopt(3).
    """
    global _depth
    libc = _glibc()
    if libc is None or _depth:
        yield
        return
    libc.mallopt(_MMAP_THRESHOLD, _ALL)
    libc.mallopt(_TRIM_THRESHOLD, _ALL)
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _USUAL_MMAP_THRESHOLD)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if platform.system() != "Linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
