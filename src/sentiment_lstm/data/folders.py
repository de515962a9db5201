"""A local folder of reviews: the hub's layout, or the raw aclImdb of one text file a review."""

from __future__ import annotations

from pathlib import Path

from datasets import ClassLabel, DatasetDict, load_dataset, load_dataset_builder, load_from_disk
from datasets.exceptions import DatasetsError

from sentiment_lstm.data.files import FILE_TYPES, read_file, read_utf8
from sentiment_lstm.data.rows import (
    TEST,
    TRAIN,
    UNSUPERVISED,
    Rows,
    rows_by_split,
    standard_split_name,
)
from sentiment_lstm.errors import DataError

__all__ = ["read_folder", "read_saved", "rows_of_dataset_dict", "unsupervised_files"]

LAYOUTS = (
    "Expected the hub's layout (train-*.parquet, test.csv, …), the raw aclImdb (train/pos/*.txt, "
    "train/neg/*.txt, test/…), or a folder written by save_to_disk."
)
_RAW_CLASSES = {"neg": "negative", "pos": "positive"}


def read_folder(
    folder: Path, *, text_column: str, label_column: str, config: str | None = None
) -> dict[str, Rows]:
    """Read a local folder of reviews, whichever of the known layouts it has.

    Args:
        folder: the folder.
        text_column: the column of the texts.
        label_column: the column of the labels.
        config: one of several configurations that the folder's README.md declares.

    Returns:
        The rows by split.

    Raises:
        DataError: the folder has none of the known layouts, or a file of it is at fault; the
            message names the file.
    """
    if (raw := _raw_imdb_folder(folder)) is not None:
        return _read_raw_imdb(raw)
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return rows_of_dataset_dict(
            str(folder), read_saved(folder), text_column=text_column, label_column=label_column
        )
    return _read_hub_layout(folder, text_column, label_column, config)


def rows_of_dataset_dict(
    place: str, dataset: DatasetDict, *, text_column: str, label_column: str
) -> dict[str, Rows]:
    """Check the rows of a data set that `datasets` has read.

    Raises:
        DataError: a column is missing, or a row is at fault.
    """
    rows: dict[str, Rows] = {}
    for split, part in dataset.items():
        wanted = [name for name in (text_column, label_column) if name in part.column_names]
        columns = {name: [] for name in part.column_names}
        columns |= part.select_columns(wanted).with_format(None)[:]
        feature = part.features.get(label_column)
        rows |= rows_by_split(
            f"{place}, split {split!r}",
            columns,
            text_column=text_column,
            label_column=label_column,
            split=standard_split_name(str(split)) or str(split),
            names=tuple(feature.names) if isinstance(feature, ClassLabel) else None,
        )
    return rows


def read_saved(folder: Path) -> DatasetDict:
    """Load what `save_to_disk` wrote, memory-mapped; a single split counts as `train`.

    Raises:
        DataError: it cannot be loaded.
    """
    try:
        saved = load_from_disk(str(folder))
    except Exception as error:  # whatever a damaged file makes pyarrow or json raise
        raise DataError(
            f"{folder}: the data set cannot be loaded ({_first_line(error)}). Save it again with "
            "save_to_disk."
        ) from error
    return saved if isinstance(saved, DatasetDict) else DatasetDict({TRAIN: saved})


def _raw_imdb_folder(folder: Path) -> Path | None:
    for candidate in (folder, folder / "aclImdb"):
        if any((candidate / TRAIN / name).is_dir() for name in _RAW_CLASSES):
            return candidate
    return None


def _read_raw_imdb(folder: Path) -> dict[str, Rows]:
    rows: dict[str, Rows] = {}
    for split in (TRAIN, TEST):
        if not (folder / split).is_dir():
            continue
        rows[split] = Rows([], [])
        for name, label in _RAW_CLASSES.items():
            texts = _read_texts(folder / split / name)
            if not texts:
                raise DataError(
                    f"{folder / split / name}: no text file (*.txt) stands there, where the raw "
                    f"aclImdb keeps the {label} reviews. Unpack aclImdb_v1.tar.gz again."
                )
            rows[split] += Rows(texts, [label] * len(texts))
    if texts := _read_texts(folder / TRAIN / "unsup"):
        rows[UNSUPERVISED] = Rows(texts, [None] * len(texts))
    return rows


def _read_texts(folder: Path) -> list[str]:
    def number_then_name(path: Path) -> tuple[int, str]:
        number = path.stem.partition("_")[0]  # ID_RATING.txt
        return (int(number) if number.isascii() and number.isdigit() else -1, path.name)

    # Sorted, because a file system lists its files in any order.
    try:
        return [read_utf8(path) for path in sorted(folder.glob("*.txt"), key=number_then_name)]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error


def _read_hub_layout(
    folder: Path, text_column: str, label_column: str, config: str | None
) -> dict[str, Rows]:
    try:
        # `datasets` decides which file belongs to which split, as it would on the hub.
        builder = load_dataset_builder(str(folder), name=config)
        # The keys are `NamedSplit`s or strings, as the builder likes.
        files = {str(split): paths for split, paths in (builder.config.data_files or {}).items()}
        declared = (builder.info.features or {}).get(label_column)
        paths = [Path(file) for split in files for file in files[split]]
        if not all(path.suffix.lower() in FILE_TYPES and path.is_file() for path in paths):
            dataset = load_dataset(str(folder), name=config)
            return rows_of_dataset_dict(
                str(folder), dataset, text_column=text_column, label_column=label_column
            )
    except DataError:
        raise
    except (FileNotFoundError, DatasetsError) as error:
        raise DataError(f"{folder}: it holds no data files to be read. {LAYOUTS}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{folder}: {_first_line(error)} {LAYOUTS}") from error
    # `datasets` knows train, validation and test by their names, and passes over any other.
    if UNSUPERVISED not in files and (passed_over := unsupervised_files(folder)):
        files[UNSUPERVISED] = passed_over
    rows: dict[str, Rows] = {}
    names = tuple(declared.names) if isinstance(declared, ClassLabel) else None
    for split in files:
        for file in sorted(files[split]):
            read = read_file(
                Path(file),
                text_column=text_column,
                label_column=label_column,
                # Files whose names tell no split all count as train, and may tell it row by row.
                split=None if list(files) == [TRAIN] else standard_split_name(split) or split,
                names=names,
            )
            for name, part in read.items():
                if name in rows and rows[name].names != part.names:
                    raise DataError(
                        f"{file}: its labels are declared as {part.names}, those of the files "
                        f"before it as {rows[name].names}. Declare the same names in every file."
                    )
                rows[name] = rows[name] + part if name in rows else part
    return rows


def unsupervised_files(folder: Path) -> list[str]:
    """Find the files directly in a folder that are named after the unlabelled split."""
    return [
        str(path)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in FILE_TYPES and standard_split_name(path.stem) == UNSUPERVISED
    ]


def _first_line(error: BaseException) -> str:
    line = str(error).partition("\n")[0].rstrip(".")
    return f"{line or type(error).__name__}."
