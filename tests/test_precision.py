from __future__ import annotations

import pytest
import torch
from transformers import BertForSequenceClassification

from sentiment_lstm.precision import fast_bfloat16, in_fast_precision
from tests.tiny_encoders import tiny_config

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
    model = BertForSequenceClassification(tiny_config())
    assert in_fast_precision(model).dtype == (torch.bfloat16 if fast else torch.float32)
    assert model.dtype == torch.float32, "a training goes on with it"


def test_a_torch_that_cannot_tell_gets_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert fast_bfloat16() is False
