"""How a pre-trained encoder is trained to teach."""

from __future__ import annotations

from dataclasses import dataclass

from sentiment_lstm.ranges import check_range

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
        check_range("The epochs", self.epochs, low=1)
        check_range("The batch size", self.batch_size, low=1)
        check_range("The learning rate", self.learning_rate, above=0, below=1)
        check_range("The hidden dropout", self.hidden_dropout, low=0, below=1)
        check_range("The weight decay", self.weight_decay, low=0)
        check_range("The warmup share", self.warmup_share, low=0, below=1)
        check_range("The max gradient norm", self.max_gradient_norm, low=0)
        check_range("The max length", self.max_length_tokens, low=MIN_WINDOW_TOKENS, unit="tokens")
        check_range("The window limit", self.window_limit, low=0)
        check_range("The validation size", self.validation_size, low=0, below=1)
