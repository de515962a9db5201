"""What a row must hold: a string as its text, and the name of a class or nothing as its label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.text import is_encodable

__all__ = [
    "TEST",
    "TRAIN",
    "UNLABELLED",
    "UNSUPERVISED",
    "VALIDATION",
    "Rows",
    "rows_by_split",
    "standard_split_name",
]

TRAIN, VALIDATION, TEST, UNSUPERVISED = "train", "validation", "test", "unsupervised"
UNLABELLED = -1

_SPLIT_NAMES = {
    **dict.fromkeys(["train", "training"], TRAIN),
    **dict.fromkeys(["validation", "valid", "val", "dev"], VALIDATION),
    **dict.fromkeys(["test", "testing"], TEST),
    **dict.fromkeys(["unsupervised", "unsup", "unlabelled", "unlabeled"], UNSUPERVISED),
}
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0*")
_DIGITS = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Rows:
    """The reviews of one split as they were read.

    Attributes:
        texts: N strings.
        labels: N names of classes; None where there is no label.
        names: the classes in their order where the source declares them (`ClassLabel`).
    """

    texts: list[str]
    labels: list[str | None]
    names: tuple[str, ...] | None = None

    def __add__(self, other: Rows) -> Rows:
        """Put more rows with the same declared classes behind these."""
        return Rows(self.texts + other.texts, self.labels + other.labels, self.names)


def standard_split_name(name: str) -> str | None:
    """Translate `dev`, `val`, `unsup` and their like; None for a name that means no split."""
    return _SPLIT_NAMES.get(name.strip().lower())


def rows_by_split(
    place: str | Path,
    columns: Mapping[str, Sequence[object]],
    *,
    text_column: str,
    label_column: str,
    split_column: str | None = None,
    split: str = TRAIN,
    names: tuple[str, ...] | None = None,
    first_row: int = 1,
) -> dict[str, Rows]:
    """Check every row of a table and sort the rows by split.

    Args:
        place: the file (or the data set's name) that messages name.
        columns: the table, N values a column.
        text_column: the column of the texts.
        label_column: the column of the labels; an unsupervised split may lack it.
        split_column: a column that names the split of each row; None puts all into `split`.
        split: the split of all rows where no column tells.
        names: the declared classes; integer labels are positions in it.
        first_row: the number of the first row, where the table is a part of a larger one.

    Raises:
        DataError: a column is missing, or a row holds no string, no label, or no known split;
            the message names the place, the row (the first data row is 1) and the value.
    """
    _require_column(place, columns, text_column, "text_column")
    if split_column is not None or split != UNSUPERVISED:
        _require_column(place, columns, label_column, "label_column")
    texts = columns[text_column]
    raw_labels = columns.get(label_column, [None] * len(texts))
    splits = [split] * len(texts)
    if split_column is not None:
        splits = _split_of_each_row(place, columns[split_column], split_column)
    checked: dict[str, Rows] = {}
    rows = enumerate(zip(texts, raw_labels, splits, strict=True), start=first_row)
    for row, (text, label, name) in rows:
        if not (isinstance(text, str) and is_encodable(text)):
            raise _not_a_text(place, row, text_column, text)
        into = checked.setdefault(name, Rows([], [], names))
        into.texts.append(text)
        into.labels.append(
            None if name == UNSUPERVISED else _class_name(place, row, label_column, label, names)
        )
    return checked or {split: Rows([], [], names)}


def _require_column(
    place: str | Path, columns: Mapping[str, object], column: str, parameter: str
) -> None:
    if not columns:
        raise DataError(f"{place}: it is empty. Expected reviews, with a column {column!r}.")
    if column not in columns:
        option = "--" + parameter.replace("_", "-")
        found = ", ".join(map(repr, columns))
        raise DataError(
            f"{place}: there is no column {column!r}. The columns are: {found}."
            f"{nearest(column, columns)} Name the right one with {option} ({parameter} in Python)."
        )


def _split_of_each_row(place: str | Path, values: Sequence[object], split_column: str) -> list[str]:
    splits: list[str] = []
    for row, value in enumerate(values, start=1):
        name = standard_split_name(value) if isinstance(value, str) else None
        if name is None:
            raise DataError(
                f"{place}, row {row}: column {split_column!r} holds {value!r:.60}, not one of "
                f"{TRAIN!r}, {VALIDATION!r}, {TEST!r}, {UNSUPERVISED!r}. Correct the row, or "
                "rename the column if it means something else."
            )
        splits.append(name)
    return splits


def _not_a_text(place: str | Path, row: int, column: str, value: object) -> DataError:
    where = f"{place}, row {row}: column {column!r} holds"
    if isinstance(value, str):
        return DataError(
            f"{where} half of a surrogate pair ({value!r:.60}), which UTF-8 cannot encode. "
            "Write the file again from its source."
        )
    found = "null" if value is None else f"{value!r:.60} ({type(value).__name__})"
    return DataError(
        f"{where} {found}, not a string. Correct or remove the row, or name another column with "
        "--text-column (text_column in Python)."
    )


def _class_name(
    place: str | Path, row: int, column: str, value: object, names: tuple[str, ...] | None
) -> str:
    """Read a label as the name of its class: `1`, `1.0` and `"1"` are all `"1"`."""
    where = f"{place}, row {row}: column {column!r} holds"
    advice = (
        "Correct or remove the row, or name another column with --label-column (label_column in "
        "Python)."
    )
    name = value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        name = str(int(value))
    if value is None or value != value or (isinstance(value, str) and not value.strip()):
        found = "no label" if isinstance(value, str) else "null"
        raise DataError(f"{where} {found}, where every review needs one. {advice}")
    if not isinstance(name, str):
        kind = type(value).__name__
        raise DataError(
            f"{where} {value!r:.60} ({kind}), not a label: a name or a whole number. {advice}"
        )
    name = name.strip()
    if whole := _WHOLE_FLOAT.fullmatch(name):
        name = whole[1]
    if names is None or name in names:
        return name
    code = int(name) if _DIGITS.fullmatch(name) else None
    if code == UNLABELLED:
        return name
    if code is None or not 0 <= code < len(names):
        raise DataError(f"{where} {value!r:.60}, not one of the labels {list(names)}. {advice}")
    return names[code]
