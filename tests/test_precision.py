from __future__ import annotations

import pytest
import torch

from sentiment_lstm.precision import fast_bfloat16, mixed_precision

needs_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU would be asked")


@needs_cpu
@pytest.mark.parametrize("has_unit", [True, False])
def test_a_cpu_is_fast_in_bfloat16_if_it_has_the_matrix_unit(monkeypatch, has_unit: bool):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_unit)
    assert fast_bfloat16() is has_unit
    linear = torch.nn.Linear(2, 2)
    with mixed_precision():
        given = linear(torch.ones(1, 2))
    assert given.dtype == (torch.bfloat16 if has_unit else torch.float32)


@needs_cpu
def test_a_torch_that_cannot_tell_gets_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert fast_bfloat16() is False
