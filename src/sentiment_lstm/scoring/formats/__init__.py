"""What stands in a file: read in parts of many rows, and written again with the new columns.

A part is the same whoever reads it and however often: so many rows of its file, or fewer where they
are long. Its rows are an Arrow table in a shape of the format's own.
"""

from __future__ import annotations

from sentiment_lstm.scoring.formats.base import Format, Part, Rejected
from sentiment_lstm.scoring.formats.lines import CsvFormat, JsonLinesFormat, TsvFormat
from sentiment_lstm.scoring.formats.parquet import ParquetFormat
from sentiment_lstm.scoring.inputs import split_suffixes

__all__ = ["Format", "Part", "Rejected", "format_of"]

_FORMATS: dict[str, type[Format]] = {
    ".csv": CsvFormat,
    ".tsv": TsvFormat,
    ".jsonl": JsonLinesFormat,
    ".ndjson": JsonLinesFormat,
    ".parquet": ParquetFormat,
}


def format_of(name: str) -> type[Format]:
    """Give the format of a file by its name."""
    return _FORMATS[split_suffixes(name)[0]]
