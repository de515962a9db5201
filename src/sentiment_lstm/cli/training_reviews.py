"""What the commands that train have in common: whose word is printed, and the reviews they load."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rich.console import Console

from sentiment_lstm import torchrun

if TYPE_CHECKING:
    from datasets import DatasetDict

__all__ = ["console_of_first", "join_processes", "load_training_reviews"]


def console_of_first() -> Console:
    """Make a console that prints in the first of several processes alone."""
    return Console(highlight=False, soft_wrap=True, quiet=not torchrun.is_first_by_name())


def join_processes() -> None:
    """Join the processes that `torchrun` started; the first one says what there is to say."""
    from sentiment_lstm import ranks

    ranks.join()
    if not ranks.is_first():
        logging.disable(logging.WARNING)


def load_training_reviews(
    source: str,
    *,
    text_column: str,
    label_column: str,
    test_size: float,
    split_seed: int,
    limit: int | None,
    seed: int,
) -> DatasetDict:
    """Load reviews, of which the training split is cut down to `limit` reviews drawn by `seed`."""
    from sentiment_lstm.data import draw_reviews, load_reviews

    reviews = load_reviews(
        source,
        text_column=text_column,
        label_column=label_column,
        test_size=test_size,
        seed=split_seed,
    )
    reviews["train"] = draw_reviews(reviews["train"], limit, seed=seed)
    return reviews
