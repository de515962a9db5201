"""Which arithmetic a pre-trained encoder should use on this machine."""

from __future__ import annotations

import torch

__all__ = ["fast_bfloat16", "mixed_precision"]


def fast_bfloat16() -> bool:
    """Tell whether bfloat16 is several times faster here than float32.

    It is on GPUs that have it, and on CPUs with the matrix unit AMX. A CPU that merely knows the
    instructions (AVX-512 BF16) gains little and loses digits, so it counts as none.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    # Private, so it is asked for with care: without an answer, float32 is right everywhere.
    has_matrix_unit = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(has_matrix_unit is not None and has_matrix_unit())


def mixed_precision() -> torch.autocast:
    """Compute what is inside in bfloat16 where that is fast; weights and results stay float32."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.autocast(device, dtype=torch.bfloat16, enabled=fast_bfloat16())
