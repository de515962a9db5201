from __future__ import annotations

import pytest

from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.errors import RecipeError


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"epochs": 0}, "epochs is 0; expected at least 1"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"learning_rate": 0.0}, r"learning rate is 0\.0; expected above 0"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"max_length_tokens": 8}, "max length is 8; expected at least 32 tokens"),
        ({"validation_size": 1.0}, r"validation size is 1\.0"),
        ({"hidden_dropout": 1.0}, r"hidden dropout is 1\.0"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict, named: str):
    with pytest.raises(RecipeError, match=named):
        FinetuningSettings(**settings)
