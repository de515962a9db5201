from __future__ import annotations

import pytest
import torch

from sentiment_lstm import encoders
from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.encoders import load_encoder


def test_the_embedded_encoder_is_found_by_its_name():
    model, tokenizer = load_encoder("embedded", ["bad", "good"], FinetuningSettings())
    assert model.config.num_hidden_layers == 6
    assert tokenizer.tokenize("a<br />b") == ["a", "b"]
    assert {module_.p for module_ in model.modules() if isinstance(module_, torch.nn.Dropout)} == {
        0.0
    }


@pytest.mark.parametrize(
    ("fast", "window_tokens", "attention"),
    [(True, 128, "eager"), (True, 257, "sdpa"), (False, 128, "sdpa")],
)
def test_short_windows_are_trained_with_the_attention_that_is_faster_there(
    monkeypatch: pytest.MonkeyPatch, fast: bool, window_tokens: int, attention: str
):
    monkeypatch.setattr(encoders, "fast_bfloat16", lambda: fast)
    settings = FinetuningSettings(max_length_tokens=window_tokens)
    model, _ = load_encoder("embedded", ["bad", "good"], settings)
    assert model.config._attn_implementation == attention
