"""What the server takes and refuses, in one frozen place."""

from __future__ import annotations

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
        if not self.timeout_s > 0:
            raise SentimentError(f"timeout_s is {self.timeout_s}. Set more than 0 seconds.")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.strip()):
            raise SentimentError(
                "The API key is empty or not ASCII, which no HTTP header carries as it is. "
                "Set another key, or none."
            )
