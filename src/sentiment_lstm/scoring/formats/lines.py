"""CSV, TSV and JSONL: a row after the other, kept as it stands.

Cells stay text and lines stay lines, so that `007`, `1.00` and `NA` come out as they went in.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow

from sentiment_lstm.errors import DataError
from sentiment_lstm.scoring.formats.base import (
    Format,
    Part,
    Rejected,
    told,
)
from sentiment_lstm.scoring.inputs import InputFile, open_bytes, split_suffixes
from sentiment_lstm.text import is_encodable

__all__ = ["CsvFormat", "JsonLinesFormat", "TsvFormat"]


class _LineFormat(Format):
    """What the formats of a row after the other have in common: cutting into parts."""

    def _parts(self, file: InputFile, rows: _Rows) -> Iterator[Part]:
        opened = open_bytes(file)
        schema = pyarrow.schema([])
        number = yielded = 0
        first, kept, rejected, size = 1, [], [], 0

        def part() -> Part:
            columns = list(zip(*kept, strict=True)) or [()] * len(schema)
            return Part(
                first_row=first,
                rows=number - first + 1,
                table=pyarrow.table([list(cells) for cells in columns], schema=schema),
                rejected=rejected,
                position_bytes=opened.position_bytes,
            )

        try:
            with opened.raw, opened.stream:
                for cells in rows(opened.stream):
                    if isinstance(cells, pyarrow.Schema):
                        schema = cells
                        continue
                    number += 1
                    if isinstance(cells, _Fault):
                        rejected.append(
                            Rejected(row=number, reason=cells.reason, content=cells.content)
                        )
                        size += len(str(cells.content))
                    else:
                        kept.append(cells)
                        size += sum(map(len, cells))
                    if number - first + 1 >= self.part_rows or size >= self.part_bytes:
                        yield part()
                        yielded += 1
                        first, kept, rejected, size = number + 1, [], [], 0
                self.sha256 = opened.sha256()
        except (EOFError, OSError, lzma.LZMAError) as error:
            raise self._unreadable(number + 1, error) from error
        except _Malformed as error:
            raise DataError(f"{self.name}, row {number + 1}{error}") from error.__cause__
        if number >= first or not yielded:
            yield part()

    def _unreadable(self, row: int, error: Exception) -> DataError:
        if isinstance(error, (EOFError, lzma.LZMAError, gzip.BadGzipFile)):
            return DataError(
                f"{self.name}, row {row}: the compressed file is cut off or damaged there "
                f"({told(error)}). Fetch or write it again."
            )
        return DataError(
            f"{self.name}, row {row}: cannot be read ({told(error)}). Check the file "
            "and its permissions."
        )


@dataclass(frozen=True)
class _Fault:
    reason: str
    content: Any


class _Malformed(Exception):
    """A fault behind which nothing can be told any more; the message begins behind the row."""


_Rows = Callable[[IO[bytes]], Iterator[Any]]


class CsvFormat(_LineFormat):
    """Cells between delimiters, quoted as RFC 4180 has it; the first row names the columns."""

    delimiter = ","

    def read(self, file: InputFile) -> Iterator[Part]:
        """Read a file part by part; a row of too few or too many cells is rejected."""
        # The limit of 128 kB a cell belongs to the process; a worker's reads nothing else.
        csv.field_size_limit(2**31 - 1)
        return self._parts(file, self._rows)

    def _rows(self, stream: IO[bytes]) -> Iterator[Any]:
        # Bytes that are no UTF-8 become lone surrogates, so that only their own row is rejected.
        text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")
        lines = csv.reader(_without_mark(text), delimiter=self.delimiter, strict=True)
        line = 1
        try:
            columns = next(lines, [])
            self._check_columns([_escaped(name) for name in columns])
            names = [f"{place}" for place in range(len(columns))]
            yield pyarrow.schema([(name, pyarrow.large_string()) for name in names])
            line = lines.line_num + 1
            for cells in lines:
                if cells:  # not a blank line
                    yield self._checked(cells, line)
                line = lines.line_num + 1
            text.detach()  # else it closes the stream, whose rest is still to be hashed
        except csv.Error as error:
            raise _Malformed(
                f" (line {line}): malformed ({error}). Close every double quote, and write a quote "
                "inside a quoted cell twice."
            ) from error

    def _checked(self, cells: list[str], line: int) -> list[str] | _Fault:
        if len(cells) != len(self.columns):
            return _Fault(
                f"line {line} has {len(cells)} cells, the header has {len(self.columns)}",
                [_escaped(cell) for cell in cells],
            )
        for name, cell in zip(self.columns, cells, strict=True):
            if not is_encodable(cell):
                values = map(_escaped, cells)
                return _Fault(
                    f"column {name!r} in line {line} is not valid UTF-8",
                    dict(zip(self.columns, values, strict=True)),
                )
        return cells

    def texts(self, table: pyarrow.Table) -> list[object]:
        """Give what stands in the text column."""
        return table.column(self.columns.index(self.text_column)).to_pylist()

    def content(self, table: pyarrow.Table, place: int) -> Any:  # noqa: ANN401
        """Give a row as JSON can say it."""
        cells = [column[place].as_py() for column in table.columns]
        return dict(zip(self.columns, cells, strict=True))

    def write(self, table: pyarrow.Table, new: Mapping[str, list]) -> bytes:
        """Give the rows of a part, without a header."""
        columns = [column.to_pylist() for column in table.columns]
        columns += [[_cell(value) for value in values] for values in new.values()]
        return self._packed(zip(*columns, strict=True))

    def merge(self, parts: Iterable[bytes], columns: Sequence[str], sink: IO[bytes]) -> None:
        """Put the parts of a file behind its header."""
        sink.write(self._packed([[*columns, *self.new_columns]]))
        for part in parts:
            sink.write(part)

    def _packed(self, rows: Iterable[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerows(rows)
        return _compressed(self.name, text.getvalue().encode())


class TsvFormat(CsvFormat):
    """The same between tabs."""

    delimiter = "\t"


class JsonLinesFormat(_LineFormat):
    """A JSON object a line; a line that is none is rejected, and moves no other."""

    fixed_columns = False

    def read(self, file: InputFile) -> Iterator[Part]:
        """Read a file part by part."""
        return self._parts(file, self._rows)

    def _rows(self, stream: IO[bytes]) -> Iterator[Any]:
        yield pyarrow.schema([("line", pyarrow.large_string())])
        number = has_column = rows = 0
        columns: dict[str, None] = {}
        for number, line in enumerate(stream, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            rows += 1
            found = self._checked(line, number)
            if not isinstance(found, _Fault):
                text, values = found
                self._check_new(values, f", row {rows} (line {number})")
                columns.update(dict.fromkeys(values))
                has_column += self.text_column in values
                found = [text]
            yield found
        if rows and not has_column:
            self._check_columns(list(columns))
        self.columns = list(columns)

    def _checked(self, line: bytes, number: int) -> tuple[str, dict[str, Any]] | _Fault:
        try:
            text = line.decode().strip()
            values = json.loads(text)
        except UnicodeDecodeError as error:
            return _Fault(
                f"line {number} is not valid UTF-8: byte 0x{line[error.start]:02x} at offset "
                f"{error.start}",
                line.decode(errors="backslashreplace").rstrip("\r\n"),
            )
        except (ValueError, RecursionError) as error:
            reason = f"line {number} is malformed JSON ({told(error)})"
            return _Fault(reason, line.decode().rstrip("\r\n"))
        if not isinstance(values, dict):
            return _Fault(f"line {number} is no JSON object", values)
        return text, values

    def texts(self, table: pyarrow.Table) -> list[object]:
        """Give what stands in the text column, null where an object lacks it."""
        lines = table.column(0).to_pylist()
        return [json.loads(line).get(self.text_column) for line in lines]

    def content(self, table: pyarrow.Table, place: int) -> Any:  # noqa: ANN401
        """Give a row as JSON can say it."""
        return json.loads(table.column(0)[place].as_py())

    def write(self, table: pyarrow.Table, new: Mapping[str, list]) -> bytes:
        """Give the lines of a part, each as it was up to its closing brace."""
        lines = []
        for place, line in enumerate(table.column(0).to_pylist()):
            added = {name: values[place] for name, values in new.items()}
            kept = line[:-1].rstrip()
            comma = "" if kept == "{" else ", "
            lines.append(f"{kept}{comma}{json.dumps(added, ensure_ascii=False)[1:]}\n")
        return _compressed(self.name, "".join(lines).encode())

    def merge(self, parts: Iterable[bytes], columns: Sequence[str], sink: IO[bytes]) -> None:
        """Put the parts of a file one behind the other."""
        for part in parts:
            sink.write(part)


def _cell(value: Any) -> str:  # noqa: ANN401
    """Write a value into a cell; a text stays as it is, and null is empty."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _without_mark(lines: Iterable[str]) -> Iterator[str]:
    """Take the byte order mark away that some programs put in front."""
    for number, line in enumerate(lines):
        yield line.removeprefix("\ufeff") if number == 0 else line


def _compressed(name: str, data: bytes) -> bytes:
    """Compress as the file's name says; such pieces one behind the other are a whole file."""
    compression = split_suffixes(name)[1]
    if compression == ".gz":
        return gzip.compress(data, mtime=0)  # no time, so that the same rows give the same bytes
    return {"": bytes, ".bz2": bz2.compress, ".xz": lzma.compress}[compression](data)


def _escaped(text: str) -> str:
    r"""Write bytes that are no UTF-8 as `\xff`."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
