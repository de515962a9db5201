from __future__ import annotations

import pytest
import torch

from sentiment_lstm.precision import fast_bfloat16, mixed_precision

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the GPU would be asked")


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("avx512_bf16", [True, False])
def test_a_cpu_is_fast_in_bfloat16_if_it_multiplies_it_in_hardware(
    monkeypatch, amx: bool, avx512_bf16: bool
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    fast = amx or avx512_bf16
    assert fast_bfloat16() is fast
    linear = torch.nn.Linear(2, 2)
    with mixed_precision():
        given = linear(torch.ones(1, 2))
    assert given.dtype == (torch.bfloat16 if fast else torch.float32)


def test_a_torch_that_cannot_tell_gets_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert fast_bfloat16() is False
