"""Which arithmetic a pre-trained encoder should use on this machine."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["fast_bfloat16", "in_fast_precision"]

_CPU_UNITS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def fast_bfloat16() -> bool:
    """Tell whether bfloat16 is much faster here than float32.

    It is on GPUs that have it, and on CPUs that multiply it in hardware: about 7 times with the
    matrix unit AMX, 2.5 times with the instructions of AVX-512 BF16. Elsewhere it is emulated.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    # Private, so they are asked for with care: without an answer, float32 is right everywhere.
    asked = [getattr(torch.cpu, name, None) for name in _CPU_UNITS]
    return any(has_unit is not None and has_unit() for has_unit in asked)


def in_fast_precision(model: PreTrainedModel) -> PreTrainedModel:
    """Give a copy in bfloat16 to score with where that is fast, else the model itself.

    Autocast would convert all weights anew for every batch, and leave half of the work in float32.
    """
    return copy.deepcopy(model).bfloat16() if fast_bfloat16() else model
