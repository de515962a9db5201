"""What the server takes and refuses, in one frozen place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from sentiment_lstm.errors import SentimentError

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The limits of a server, checked when made."""

    max_body_bytes: int = 4_000_000
    max_items: int = 128  # texts a request
    max_characters: int = 100_000  # of each text
    max_waiting: int = 128  # requests that wait for a thread; more are turned away at once
    timeout_s: float = 30.0  # from the whole body to the answer, waiting included
    api_key: str | None = field(default=None, repr=False)  # never in a log or a traceback
    model_name: str = "sentiment-lstm"  # in the Open Inference Protocol's routes
    model_folder: Path | None = None  # whose files the page's own runtime may read

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_items", "max_characters"):
            if getattr(self, name) < 1:
                raise SentimentError(
                    f"{name} is {getattr(self, name)}, which lets nothing pass. Set 1 or more."
                )
        if self.max_waiting < 0:
            raise SentimentError(f"max_waiting is {self.max_waiting}. Set 0 or more.")
        if not 0 < self.timeout_s < math.inf:
            raise SentimentError(f"timeout_s is {self.timeout_s}. Set some seconds, more than 0.")
        if self.api_key is not None and not _fits_a_header(self.api_key):
            raise SentimentError(
                "The API key is empty, begins or ends with white space, or holds what is no "
                "printable ASCII character: no HTTP header carries it as it is. Set another key, "
                "or none."
            )


def _fits_a_header(key: str) -> bool:
    return bool(key) and key.isascii() and key.isprintable() and key == key.strip()
