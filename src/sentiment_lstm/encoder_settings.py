"""How a pre-trained encoder is trained to teach."""

from __future__ import annotations

from dataclasses import dataclass

from sentiment_lstm.errors import RecipeError

__all__ = ["MAX_WINDOW_TOKENS", "MIN_WINDOW_TOKENS", "FinetuningSettings"]

# Attention grows with the square of it, and half of IMDB's reviews fit.
MAX_WINDOW_TOKENS = 256
MIN_WINDOW_TOKENS = 32  # twice the shortest random window of a training


@dataclass(frozen=True, kw_only=True)
class FinetuningSettings:
    """How an encoder is trained on labels."""

    epochs: int = 2
    batch_size: int = 32  # windows
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup_share: float = 0.06  # of all steps
    max_gradient_norm: float = 1.0
    hidden_dropout: float = 0.0
    max_length_tokens: int = MAX_WINDOW_TOKENS  # of a window, special tokens included
    window_limit: int = 0  # windows that the teacher reads of a text, from both ends; 0 reads all
    validation_size: float = 0.1  # share of train; 0 trains on all of it

    def __post_init__(self) -> None:
        for key, holds, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < 1, "above 0 and below 1"),
            ("hidden_dropout", 0 <= self.hidden_dropout < 1, "at least 0 and below 1"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("warmup_share", 0 <= self.warmup_share < 1, "at least 0 and below 1"),
            ("max_gradient_norm", self.max_gradient_norm >= 0, "at least 0"),
            (
                "max_length_tokens",
                self.max_length_tokens >= MIN_WINDOW_TOKENS,
                f"at least {MIN_WINDOW_TOKENS} tokens",
            ),
            ("window_limit", self.window_limit >= 0, "at least 0"),
            ("validation_size", 0 <= self.validation_size < 1, "at least 0 and below 1"),
        ):
            if not holds:
                name = key.removesuffix("_tokens").replace("_", " ")
                raise RecipeError(f"The {name} is {getattr(self, key)!r}; expected {expected}.")
