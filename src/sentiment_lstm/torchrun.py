"""What `torchrun` tells each of its processes, read without loading PyTorch."""

from __future__ import annotations

import os

__all__ = ["has_started_this", "is_first_by_name"]


def has_started_this() -> bool:
    """Whether this is one of several processes that `torchrun` started."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_first_by_name() -> bool:
    """Whether this is the process that prints, joined to the others or not yet."""
    return os.environ.get("RANK", "0") == "0"
