"""Parquet: columns with types, in row groups."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

import pyarrow
import pyarrow.parquet

from sentiment_lstm.errors import DataError
from sentiment_lstm.row_groups import row_batches
from sentiment_lstm.scoring.formats.base import (
    Format,
    Part,
    Rejected,
    told,
)
from sentiment_lstm.scoring.inputs import InputFile, hash_file, open_seekable

__all__ = ["ParquetFormat"]

_GROUP_ROWS = 16_384  # of a row group written, about 20 MB of reviews
_NEW_TYPES = {
    "label": pyarrow.string(),
    "confidence": pyarrow.float64(),
    "truncated": pyarrow.bool_(),
    "spans": pyarrow.list_(
        pyarrow.struct(
            [
                ("start", pyarrow.int64()),
                ("end", pyarrow.int64()),
                ("text", pyarrow.string()),
                ("score", pyarrow.float64()),
            ]
        )
    ),
}


class ParquetFormat(Format):
    """Columns with types, in row groups."""

    def read(self, file: InputFile) -> Iterator[Part]:
        """Read a file part by part; rows whose text is no UTF-8 are rejected."""
        row = 1
        try:
            self.sha256 = hash_file(file)
            with open_seekable(file) as seekable, pyarrow.parquet.ParquetFile(seekable) as found:
                self._check_schema(found.schema_arrow)
                total = max(found.metadata.num_rows, 1)
                for batch in row_batches(found, self.part_rows):
                    for table in _pieces(pyarrow.Table.from_batches([batch]), self.part_bytes):
                        part = self._part(table, row)
                        row += part.rows
                        part.position_bytes = file.size_bytes * (row - 1) // total
                        yield part
                if row == 1:
                    yield self._part(found.schema_arrow.empty_table(), row)
        except (pyarrow.ArrowException, OSError) as error:
            if isinstance(error, (FileNotFoundError, PermissionError)):
                raise DataError(
                    f"{self.name}: cannot be read ({told(error)}). Check the file and "
                    "its permissions."
                ) from error
            raise DataError(
                f"{self.name}, row {row}: not a complete Parquet file ({told(error)}). "
                "Fetch or write it again."
            ) from error

    def texts(self, table: pyarrow.Table) -> list[object]:
        """Give what stands in the text column."""
        return [
            value.decode() if isinstance(value, bytes) else value for value in self._values(table)
        ]

    def content(self, table: pyarrow.Table, place: int) -> Any:  # noqa: ANN401
        """Give a row as JSON can say it; what it has no type for is written out as text."""
        row = table.slice(place, 1)
        return {name: _plain(column) for name, column in zip(table.column_names, row, strict=True)}

    def write(self, table: pyarrow.Table, new: Mapping[str, list]) -> bytes:
        """Give the rows of a part as a Parquet file."""
        sink = io.BytesIO()
        pyarrow.parquet.write_table(self._extended(table, new), sink, compression="zstd")
        return sink.getvalue()

    def merge(self, parts: Iterable[bytes], columns: Sequence[str], sink: IO[bytes]) -> None:
        """Put the parts of a file together, in row groups of a size that reads fast."""
        writer: pyarrow.parquet.ParquetWriter | None = None
        group: list[pyarrow.Table] = []

        def flush() -> None:
            if group and writer is not None:
                table = pyarrow.concat_tables(group)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
                group.clear()

        try:
            for part in parts:
                table = pyarrow.parquet.read_table(io.BytesIO(part))
                if writer is None:
                    writer = pyarrow.parquet.ParquetWriter(sink, table.schema, compression="zstd")
                group.append(table)
                if sum(map(len, group)) >= _GROUP_ROWS:
                    flush()
            flush()
        finally:
            if writer is not None:
                writer.close()

    def _check_schema(self, schema: pyarrow.Schema) -> None:
        self._check_columns(schema.names)
        found = schema.field(self.text_column).type
        if pyarrow.types.is_dictionary(found):
            found = found.value_type
        if not (_is_text(found) or pyarrow.types.is_null(found)):
            raise DataError(
                f"{self.name}: column {self.text_column!r} holds {found}, not text. Expected "
                "string or binary; name the column of the texts with --text-column."
            )

    def _part(self, table: pyarrow.Table, row: int) -> Part:
        faults = {
            place: f"column {self.text_column!r} is not valid UTF-8"
            for place, value in enumerate(self._values(table))
            if isinstance(value, bytes) and not _decodes(value)
        }
        rejected = [
            Rejected(row=row + place, reason=reason, content=self.content(table, place))
            for place, reason in faults.items()
        ]
        kept = table
        if faults:
            kept = table.take([place for place in range(len(table)) if place not in faults])
        return Part(first_row=row, rows=len(table), table=kept, rejected=rejected)

    def _values(self, table: pyarrow.Table) -> list[bytes | None]:
        # As bytes: Arrow does not look whether a file's strings are UTF-8.
        column = table.column(self.text_column)
        if pyarrow.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(pyarrow.large_binary()).to_pylist()

    def _extended(self, table: pyarrow.Table, new: Mapping[str, list]) -> pyarrow.Table:
        for name, values in new.items():
            kind = name.removeprefix(self.prefix)
            table = table.append_column(name, pyarrow.array(values, type=_NEW_TYPES[kind]))
        return table


def _pieces(table: pyarrow.Table, most_bytes: int) -> Iterator[pyarrow.Table]:
    """Cut a table in halves until none takes more than a part may."""
    if table.nbytes <= most_bytes or len(table) < 2:
        yield table
        return
    half = len(table) // 2
    # Copied: a slice would go on holding, and sending, the whole.
    for piece in (table.slice(0, half), table.slice(half)):
        yield from _pieces(piece.take(pyarrow.array(range(len(piece)))), most_bytes)


def _is_text(kind: pyarrow.DataType) -> bool:
    tests = ("is_string", "is_large_string", "is_string_view", "is_binary", "is_large_binary")
    return any(getattr(pyarrow.types, test)(kind) for test in tests)


def _plain(column: pyarrow.ChunkedArray) -> Any:  # noqa: ANN401
    """Give the single value of a column as JSON can say it."""
    if _is_text(column.type):
        value = column.cast(pyarrow.large_binary())[0].as_py()
        return None if value is None else value.decode(errors="backslashreplace")
    return json.loads(json.dumps(column[0].as_py(), default=str))


def _decodes(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
