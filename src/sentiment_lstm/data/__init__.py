"""Reviews from anywhere, in one shape: sources, splits, checks -> `DatasetDict(text, label)`.

::

    sources.py    which kind of source a name means, and one way in for all of them
    hub.py        a data set of the Hugging Face hub
    folders.py    a local folder: the hub's layout, or the raw aclImdb of text files
    files.py      one CSV, TSV, JSON, JSONL or Parquet file, every row checked
    rows.py       what a row must hold: a string, and a label or none
    streams.py    texts of any number, a batch at a time -> a memory-mapped data set
    assembly.py   rows of some splits -> DatasetDict with the same classes in each of them
    near_duplicates.py    groups of texts that are the same, or nearly
    splits.py     stratified splits that no near-duplicate crosses; the fingerprint
    checks.py     sizes, balance, lengths, duplicates, leaks -> DataReport
    pictures.py   DataReport -> PNG
"""

from sentiment_lstm.data.checks import DataReport, SplitReport, check_reviews
from sentiment_lstm.data.near_duplicates import near_duplicate_groups, stand_in
from sentiment_lstm.data.pictures import plot_report
from sentiment_lstm.data.sources import load_reviews, load_unlabelled
from sentiment_lstm.data.splits import (
    VALIDATION_SEED,
    draw_reviews,
    fingerprint,
    named_split,
    split_reviews,
    training_splits,
)
from sentiment_lstm.data.streams import cache_folder, dataset_texts, labelled_texts, store_texts

__all__ = [
    "VALIDATION_SEED",
    "DataReport",
    "SplitReport",
    "cache_folder",
    "check_reviews",
    "dataset_texts",
    "draw_reviews",
    "fingerprint",
    "labelled_texts",
    "load_reviews",
    "load_unlabelled",
    "named_split",
    "near_duplicate_groups",
    "plot_report",
    "split_reviews",
    "stand_in",
    "store_texts",
    "training_splits",
]
