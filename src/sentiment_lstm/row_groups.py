"""Parquet files of any size, some row groups at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow
import pyarrow.parquet

__all__ = ["row_batches"]

_BATCHES_AT_ONCE = 16  # read by one call, but for a row group of more


def row_batches(
    file: pyarrow.parquet.ParquetFile, rows: int, *, columns: Sequence[str] | None = None
) -> Iterator[pyarrow.RecordBatch]:
    """Read a file batch by batch, in the memory of a few row groups.

    A single call of `iter_batches` takes a megabyte or two more for each row group that it reads,
    and gives them back when it ends.

    Args:
        file: an open file.
        rows: the most rows of a batch.
        columns: their names; None for all of them.
    """
    groups: list[int] = []
    waiting = 0
    for group in range(file.num_row_groups):
        groups.append(group)
        waiting += file.metadata.row_group(group).num_rows
        # Where one call ends, so does a batch: small groups are read together.
        if waiting >= _BATCHES_AT_ONCE * rows or group == file.num_row_groups - 1:
            yield from file.iter_batches(rows, row_groups=groups, columns=columns)
            groups, waiting = [], 0
