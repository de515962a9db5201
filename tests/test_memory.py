from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# A process of its own: what malloc has learnt in the others' tests would count.
_COUNT_PAGES = """
import resource, statistics, sys, threading
from sentiment_lstm.memory import freed_memory_kept, share_one_arena

share_one_arena()
import pyarrow
import torch

def pages(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def tensors():
    kept = [torch.ones(24 * 2**20) for _ in range(4)]  # 96 MiB each

def in_a_thread():
    thread = threading.Thread(target=tensors)
    thread.start()
    thread.join()

torch.set_num_threads(1)
work = {"here": tensors, "thread": in_a_thread}[sys.argv[1]]
tensors()
usual = pages(tensors)
with freed_memory_kept():
    with freed_memory_kept():
        work()
    # Small blocks that come to lie in between make it grow now and then.
    kept = statistics.median(pages(work) for _ in range(15))
print(usual, kept, pages(tensors))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.system() != "Linux",
    reason="only glibc gives large blocks back at once",
)
@pytest.mark.parametrize("where", ["here", "thread"])
def test_freed_memory_is_used_again_inside_and_given_back_at_the_end(where: str):
    ran = subprocess.run(
        [sys.executable, "-c", _COUNT_PAGES, where], capture_output=True, text=True, check=True
    )
    usual, kept, afterwards = map(int, ran.stdout.split())
    pages = 4 * 96 * 2**20 // 4096
    assert usual > 0.9 * pages
    assert kept < 0.1 * pages
    assert afterwards > 0.5 * pages
