"""One CSV, TSV, JSON, JSONL or Parquet file of reviews, read so that a message can name the row.

CSV and TSV keep what stands in them: `NA`, `null` and `007` are texts like any other, an empty cell
is an empty text, and a quoted cell may hold line breaks.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pyarrow.parquet
from datasets import ClassLabel, Features

from sentiment_lstm.data.rows import TRAIN, Rows, rows_by_split
from sentiment_lstm.errors import DataError, first_sentence, nearest

__all__ = [
    "FILE_TYPES",
    "SPLIT_COLUMN",
    "Columns",
    "csv_cells",
    "json_objects",
    "read_columns",
    "read_file",
    "read_utf8",
    "utf8_lines",
]

SPLIT_COLUMN = "split"

Columns = dict[str, Sequence[object]]


def read_file(
    path: Path,
    *,
    text_column: str,
    label_column: str,
    split: str | None = None,
    names: tuple[str, ...] | None = None,
) -> dict[str, Rows]:
    """Read one file of reviews.

    Args:
        path: the file; its suffix tells the type.
        text_column: the column of the texts.
        label_column: the column of the labels.
        split: the split that all rows belong to; None looks for a column `split` that tells it
            row by row (`train`, `validation`, `test`, `unsupervised`, or their usual short forms).
        names: the declared classes, where something beside the file declares them.

    Returns:
        The rows by split; all in `train` where nothing tells.

    Raises:
        DataError: the file is of an unknown type, cannot be read, is malformed, lacks a column, or
            a row of it holds no text or no label; the message names the place.
    """
    wanted = [text_column, label_column, *([SPLIT_COLUMN] if split is None else [])]
    columns, declared = read_columns(path, wanted)
    return rows_by_split(
        path,
        columns,
        text_column=text_column,
        label_column=label_column,
        split_column=SPLIT_COLUMN if split is None and SPLIT_COLUMN in columns else None,
        split=split or TRAIN,
        names=declared.get(label_column, names),
    )


def read_columns(path: Path, wanted: Sequence[str]) -> tuple[Columns, dict[str, tuple[str, ...]]]:
    """Read columns of a file; those that are not wanted stay empty, to be named in messages.

    Args:
        path: the file; its suffix tells the type.
        wanted: names of columns; those which the file lacks are left out.

    Returns:
        The columns with their N values, and the class names of the columns that declare them.

    Raises:
        DataError: the file is of an unknown type, cannot be read, or is malformed.
    """
    reader = FILE_TYPES.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: the type {path.suffix or 'without suffix'!r} is unknown. Expected one of "
            f"{', '.join(FILE_TYPES)}.{nearest(path.suffix.lower(), FILE_TYPES)} "
            "Convert the file, or unpack it if it is an archive."
        )
    try:
        return reader(path, wanted)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}). Check the file and its "
            "permissions."
        ) from error


def read_utf8(path: Path) -> str:
    """Read a whole text file, without the byte order mark that some programs put in front.

    Raises:
        DataError: it is not UTF-8; the message names the byte and the line.
        OSError: it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error


def utf8_lines(path: Path, newline: str | None = "\n") -> Iterator[str]:
    """Read a text file line by line, as :func:`read_utf8` does as a whole.

    Args:
        path: the file.
        newline: as in `open`.
    """
    with path.open(encoding="utf-8-sig", newline=newline) as file:
        try:
            yield from file
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error


def csv_cells(path: Path, *, delimiter: str, wanted: Sequence[str]) -> Iterator[list[str]]:
    """Read a CSV or TSV file row by row, the header first, each row as long as the header.

    Raises:
        DataError: it is malformed, or a column that is wanted stands there twice.
        OSError: it cannot be read.
    """
    # The csv module, not pandas: it tells the row of every fault, short rows included, and never
    # takes a text for a number or for a missing value.
    lines = csv.reader(utf8_lines(path, newline=""), delimiter=delimiter, strict=True)
    row = 0
    with _cells_of_any_size():
        try:
            header = next(lines, [])
            for name in wanted:
                if header.count(name) > 1:
                    raise DataError(
                        f"{path}: {header.count(name)} columns are named {name!r}. Rename all but "
                        "one."
                    )
            if header:
                yield header
            for cells in lines:
                if not cells:  # a blank line
                    continue
                row += 1
                if len(cells) != len(header):
                    raise DataError(
                        f"{path}, row {row} (line {lines.line_num}): it has {len(cells)} cells, "
                        f"the header has {len(header)}. Put cells that hold {delimiter!r}, quotes "
                        "or line breaks in double quotes."
                    )
                yield cells
        except csv.Error as error:
            raise DataError(
                f"{path}, row {row + 1} (line {lines.line_num}): malformed ({error}). Close every "
                "double quote, and write a quote inside a quoted cell twice."
            ) from error


def json_objects(path: Path, *, wanted: Sequence[str]) -> Iterator[dict]:
    """Read a JSONL file object by object.

    Raises:
        DataError: a line is malformed, or holds something else.
        OSError: it cannot be read.
    """
    row = 0
    # Not splitlines: it also cuts at U+2028 and its like, which JSON strings may hold.
    for number, line in enumerate(utf8_lines(path), start=1):
        if not line.strip():
            continue
        row += 1
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, row {row} (line {number}): malformed JSON ({error.msg} at "
                f"character {error.pos + 1}). Expected one object a line."
            ) from error
        yield _object(path, row, item, wanted)


def _not_utf8(path: Path) -> DataError:
    offset = 0
    with path.open("rb") as file:
        # No character of several bytes holds a line feed, so each line stands by itself.
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return DataError(
                    f"{path}, line {number}: byte 0x{line[error.start]:02x} at offset "
                    f"{offset + error.start} is not valid UTF-8. Save the file again with the "
                    "encoding UTF-8."
                )
            offset += len(line)
    return DataError(f"{path}: is not valid UTF-8. Save the file again with the encoding UTF-8.")


def _read_csv(path: Path, wanted: Sequence[str], delimiter: str = ",") -> tuple[Columns, dict]:
    rows = csv_cells(path, delimiter=delimiter, wanted=wanted)
    header = next(rows, [])
    columns: dict[str, list[str]] = {name: [] for name in header}
    positions = {name: header.index(name) for name in wanted if name in header}
    for cells in rows:
        for name, position in positions.items():
            columns[name].append(cells[position])
    return dict(columns), {}


def _read_tsv(path: Path, wanted: Sequence[str]) -> tuple[Columns, dict]:
    return _read_csv(path, wanted, delimiter="\t")


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    # The csv module stops at 128 kB a cell; the limit belongs to the process, so it is put back.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _read_jsonl(path: Path, wanted: Sequence[str]) -> tuple[Columns, dict]:
    return _columns_of_objects(list(json_objects(path, wanted=wanted)), wanted)


def _read_json(path: Path, wanted: Sequence[str]) -> tuple[Columns, dict]:
    content = read_utf8(path)
    if not content.lstrip().startswith("["):
        return _read_jsonl(path, wanted)
    try:
        objects = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: malformed JSON ({error.msg} at character "
            f"{error.colno}). Expected a list of objects, or one object a line."
        ) from error
    rows = enumerate(objects, start=1)
    return _columns_of_objects([_object(path, row, item, wanted) for row, item in rows], wanted)


def _object(path: Path, row: int, item: object, wanted: Sequence[str]) -> dict:
    if not isinstance(item, dict):
        example = ", ".join(
            f'"{name}": "{value}"'
            for name, value in zip(wanted, ("A fine film.", "positive"), strict=False)
        )
        raise DataError(
            f"{path}, row {row}: found {item!r:.60}, expected an object such as {{{example}}}."
        )
    return item


def _columns_of_objects(objects: list[dict], wanted: Sequence[str]) -> tuple[Columns, dict]:
    known: dict[str, None] = {}
    for item in objects:
        known.update(dict.fromkeys(item))
    columns: Columns = {name: [] for name in known}
    for name in wanted:
        if name in known:
            columns[name] = [item.get(name) for item in objects]
    return columns, {}


def _read_parquet(path: Path, wanted: Sequence[str]) -> tuple[Columns, dict]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            columns: Columns = {name: [] for name in schema.names}
            present = [name for name in wanted if name in columns]
            table = file.read(columns=present)
        table.validate(full=True)  # invalid UTF-8 among the rest
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise DataError(
            f"{path}: not a complete Parquet file ({first_sentence(error)}). Fetch or write it "
            "again."
        ) from error
    for name in present:
        columns[name] = table.column(name).to_pylist()
    features = Features.from_arrow_schema(schema)
    return columns, {
        name: tuple(feature.names)
        for name, feature in features.items()
        if isinstance(feature, ClassLabel)
    }


FILE_TYPES: dict[str, Callable[[Path, Sequence[str]], tuple[Columns, dict]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
