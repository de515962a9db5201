"""Texts without labels, of any number: read a batch at a time, kept in a memory-mapped file.

A CSV, TSV, JSONL, Parquet or text file, and whatever `datasets` keeps in Arrow files, is never in
memory as a whole. A `.json` file that holds one list is: it cannot be read otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow
import pyarrow.parquet
from datasets import Dataset, Features, config
from datasets.arrow_writer import ArrowWriter
from numpy.typing import NDArray

from sentiment_lstm.data.files import (
    FILE_TYPES,
    Columns,
    csv_cells,
    json_objects,
    read_columns,
    utf8_lines,
)
from sentiment_lstm.data.rows import UNSUPERVISED, rows_by_split
from sentiment_lstm.errors import DataError, SaveError, first_sentence
from sentiment_lstm.row_groups import row_batches
from sentiment_lstm.text import hash_text

__all__ = [
    "BATCH_TEXTS",
    "cache_folder",
    "dataset_texts",
    "file_texts",
    "labelled_texts",
    "store_texts",
]

BATCH_TEXTS = 1_000
_ASIDE = ".texts-"
_ABANDONED_S = 24 * 3600  # no texts take a day to write: what wrote them was killed

Item = TypeVar("Item")


def file_texts(path: Path, *, text_column: str) -> Iterator[list[str]]:
    """Read the texts of one file, a batch at a time; every row is checked.

    Args:
        path: a `.txt` file of a text a line, or a file of one of `FILE_TYPES`.
        text_column: the column of the texts, where the file has columns.

    Raises:
        DataError: the file cannot be read, is malformed, or a row of it holds no text.
    """
    try:
        if path.suffix.lower() == ".txt":
            # A line of a file may hold several of Python's lines: U+2028 and its like end one, too.
            lines = (part for line in utf8_lines(path) for part in line.splitlines())
            yield from _batched(lines)
            return
        row = 1
        for columns in _column_batches(path, text_column):
            texts = _checked(path, columns, text_column, first_row=row)
            row += len(texts)
            yield texts
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}). Check the file and its "
            "permissions."
        ) from error


def dataset_texts(place: str | Path, part: Dataset, *, text_column: str) -> Iterator[list[str]]:
    """Read the texts of a data set, a batch at a time; every row is checked.

    Args:
        place: where it comes from, for messages.
        part: one split.
        text_column: the column of the texts.

    Raises:
        DataError: there is no such column, or a row of it holds no text.
    """
    names: Columns = {name: [] for name in part.column_names}
    if text_column not in names:
        _checked(place, names, text_column, first_row=1)
    texts = part.select_columns([text_column]).with_format(None)
    for start in range(0, len(part), BATCH_TEXTS):
        batch = texts[start : start + BATCH_TEXTS]
        yield _checked(place, {**names, **batch}, text_column, first_row=start + 1)


def labelled_texts(
    part: Dataset, order: NDArray[np.int64] | None = None
) -> Iterator[tuple[str, int]]:
    """Read the texts of a data set with their labels; a batch of them is in memory at a time.

    Args:
        part: columns `text` and `label`.
        order: the rows to read, in this order; None for all as they stand.
    """
    rows = part.select_columns(["text", "label"])
    for start in range(0, len(part) if order is None else len(order), BATCH_TEXTS):
        places = slice(start, start + BATCH_TEXTS)
        batch = rows[places if order is None else order[places]]
        yield from zip(batch["text"], batch["label"], strict=True)


def store_texts(batches: Iterable[list[str]], features: Features) -> Dataset:
    """Write texts to the cache of `datasets`, and read them from there, memory-mapped.

    The file is named after what it holds, so that the same texts take up space once.

    Args:
        batches: of texts.
        features: `text`, and `label` where the texts are to bear the label -1.

    Returns:
        The columns of `features`.

    Raises:
        SaveError: the cache cannot be written.
    """
    folder = cache_folder()
    _clear_abandoned(folder)
    digest = hashlib.sha256(repr(features).encode())
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder)) / "texts.arrow"
    try:
        with ArrowWriter(path=str(aside), features=features) as writer:
            for texts in batches:
                for text in texts:
                    hash_text(digest, text)
                columns: dict[str, list] = {"text": texts}
                if "label" in features:
                    columns["label"] = [-1] * len(texts)
                if texts:
                    writer.write_batch(columns)
            number, _ = writer.finalize()
        if not number:
            return Dataset.from_dict({name: [] for name in features}, features=features)
        path = folder / f"texts-{digest.hexdigest()[:32]}.arrow"
        aside.replace(path)
    except OSError as error:
        if isinstance(error, DataError | SaveError):
            raise
        raise SaveError(
            f"{folder}: the texts cannot be kept there ({error.strerror or error}). Free some "
            "space, or name another folder for the cache by HF_DATASETS_CACHE."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
        aside.parent.rmdir()
    return Dataset.from_file(str(path))


def _clear_abandoned(folder: Path) -> None:
    """Delete what a process has left half-written that was killed."""
    for aside in folder.glob(f"{_ASIDE}*"):
        with contextlib.suppress(OSError):  # gone by now, or another user's
            if time.time() - aside.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(aside)


def cache_folder() -> Path:
    """Make the folder in the cache of `datasets` where texts and their tokens are kept.

    Raises:
        SaveError: it cannot be made.
    """
    folder = Path(os.fspath(config.HF_DATASETS_CACHE)) / "sentiment-lstm"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(
            f"{folder}: cannot be made ({error.strerror or error}). Name another folder for the "
            "cache by HF_DATASETS_CACHE."
        ) from error
    return folder


def _column_batches(path: Path, column: str) -> Iterator[Columns]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet_batches(path, column)
    elif suffix in (".csv", ".tsv"):
        cells = csv_cells(path, delimiter="\t" if suffix == ".tsv" else ",", wanted=[column])
        header = next(cells, [])
        names: Columns = {name: [] for name in header}
        place = header.index(column) if column in header else None
        batches = iter(_batched(cells))
        for rows in itertools.chain([next(batches, [])], batches):
            yield names if place is None else {**names, column: [row[place] for row in rows]}
    elif suffix in (".jsonl", ".ndjson"):
        known: dict[str, None] = {}
        batches = iter(_batched(json_objects(path, wanted=[column])))
        for objects in itertools.chain([next(batches, [])], batches):
            for item in objects:
                known.update(dict.fromkeys(item))
            found = {column: [item.get(column) for item in objects]} if column in known else {}
            yield {**{name: [] for name in known}, **found}
    elif suffix in FILE_TYPES:
        yield read_columns(path, [column])[0]
    else:
        read_columns(path, [column])  # names the types that there are


def _parquet_batches(path: Path, column: str) -> Iterator[Columns]:
    try:
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
            names: Columns = {name: [] for name in file.schema_arrow.names}
            if column not in names or not file.metadata.num_rows:
                yield names
                return
            for batch in row_batches(file, BATCH_TEXTS, columns=[column]):
                batch.validate(full=True)  # invalid UTF-8 among the rest
                yield {**names, column: batch.column(column).to_pylist()}
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(
            f"{path}: not a complete Parquet file ({first_sentence(error)}). Fetch or write it "
            "again."
        ) from error


def _checked(place: str | Path, columns: Columns, text_column: str, *, first_row: int) -> list[str]:
    rows = rows_by_split(
        place,
        columns,
        text_column=text_column,
        label_column="",
        split=UNSUPERVISED,
        first_row=first_row,
    )
    return rows[UNSUPERVISED].texts


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, BATCH_TEXTS)):
        yield batch
