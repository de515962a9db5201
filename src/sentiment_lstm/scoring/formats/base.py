"""What every type of file has in common: parts of rows, and what a format must do with them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow

from sentiment_lstm.errors import DataError, first_sentence, nearest
from sentiment_lstm.scoring.inputs import InputFile

__all__ = ["PART_ROWS", "ROW_BYTES", "Format", "Part", "Rejected", "told"]

# About a second of one core's scoring: what a kill loses at most, and enough rows of each length
# for full batches.
PART_ROWS = 1_024
ROW_BYTES = 8 << 10  # in the mean of a part; of longer rows it has fewer


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that cannot be scored."""

    row: int  # in its file, from 1, without the header
    reason: str
    content: Any  # what stands there, as JSON can say it


@dataclass(kw_only=True)
class Part:
    """Some rows of a file, one after the other."""

    first_row: int
    rows: int = 0  # all of them, those rejected included
    table: pyarrow.Table  # the others
    rejected: list[Rejected] = field(default_factory=list)
    position_bytes: int = 0  # how much of the file was read up to here

    def row_numbers(self) -> list[int]:
        """Give the row in the file of each row of the table."""
        out = {rejected.row for rejected in self.rejected}
        every = range(self.first_row, self.first_row + self.rows)
        return [row for row in every if row not in out]


class Format(ABC):
    """A type of file.

    Args:
        name: of the file, for messages; its suffixes tell how the result is compressed.
        text_column: the column to score.
        new_columns: those that will be added, without the prefix.
        prefix: of their names.
        part_rows: the most rows of a part, which also ends at so many times `ROW_BYTES`.
    """

    fixed_columns = True  # whether every row of a file has the same ones

    def __init__(
        self,
        name: str,
        text_column: str,
        new_columns: Sequence[str],
        *,
        prefix: str = "",
        part_rows: int = PART_ROWS,
    ) -> None:
        self.name = name
        self.text_column = text_column
        self.prefix = prefix
        self.part_rows = part_rows
        self.part_bytes = part_rows * ROW_BYTES
        self.new_columns = [prefix + column for column in new_columns]
        self.columns: list[str] = []  # those of the file, once a part was read
        self.sha256 = ""  # of the file, once it was read to its end

    @abstractmethod
    def read(self, file: InputFile) -> Iterator[Part]:
        """Read a file part by part, at least one.

        Raises:
            DataError: it lacks the column or cannot be read on; the message names the row.
        """

    @abstractmethod
    def texts(self, table: pyarrow.Table) -> list[object]:
        """Give what stands in the text column."""

    @abstractmethod
    def content(self, table: pyarrow.Table, place: int) -> Any:  # noqa: ANN401 - plain JSON
        """Give a row as JSON can say it."""

    @abstractmethod
    def write(self, table: pyarrow.Table, new: Mapping[str, list]) -> bytes:
        """Give the bytes of a part of the result."""

    @abstractmethod
    def merge(self, parts: Iterable[bytes], columns: Sequence[str], sink: IO[bytes]) -> None:
        """Put the parts of a file together.

        Args:
            parts: in their order.
            columns: those of the input file.
            sink: where the file is written.
        """

    def _check_columns(self, columns: Sequence[str]) -> None:
        if self.text_column not in columns:
            known = ", ".join(map(repr, columns)) or "none: it is empty"
            raise DataError(
                f"{self.name}: there is no column {self.text_column!r} among its columns ({known})."
                f"{nearest(self.text_column, columns)} Name the column of the texts with "
                "--text-column."
            )
        if columns.count(self.text_column) > 1:
            raise DataError(
                f"{self.name}: {columns.count(self.text_column)} columns are named "
                f"{self.text_column!r}. Rename all but one."
            )
        self._check_new(columns)
        self.columns = list(columns)

    def _check_new(self, columns: Iterable[str], where: str = "") -> None:
        taken = [name for name in self.new_columns if name in columns]
        if taken:
            raise DataError(
                f"{self.name}{where}: it has a column {taken[0]!r} of its own. Give the new "
                "columns other names with --prefix, such as `--prefix predicted_`."
            )


def told(error: Exception) -> str:
    """Give the part of a library's message that fits into a sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(first_sentence(error).split())[:200]
