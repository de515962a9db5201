"""What a set of reviews holds, and what is wrong with it: sizes, lengths, duplicates, leaks."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from numpy.typing import NDArray

from sentiment_lstm.data.near_duplicates import near_duplicate_groups
from sentiment_lstm.data.rows import TRAIN, UNLABELLED
from sentiment_lstm.data.splits import fingerprint
from sentiment_lstm.text import MARKUP_PATTERN, is_blank, shorten

__all__ = ["DataReport", "SplitReport", "check_reviews"]

_PERCENTILES = (5, 25, 50, 75, 95, 99)
_HISTOGRAM_BINS = 60
_EXAMPLES = 5
_MEASURED_TEXTS = 25_000  # every labelled review of IMDB; a sample of more tells no more
_EXAMPLE_CHARACTERS = 120
_MARKUP = re.compile(MARKUP_PATTERN + r"|</?[A-Za-z][^<>]*>")


@dataclass(frozen=True)
class SplitReport:
    """One split.

    Attributes:
        number: reviews.
        fingerprint: of its texts and labels, see :func:`fingerprint`.
        balance: reviews by class; empty for an unlabelled split.
        empty: texts without anything but white space and line-break marks.
        markup: texts with HTML tags, `<br />` above all.
        duplicates: rows whose exact text stands in an earlier row of the split.
        duplicate_examples: some of these texts, shortened, with how often they occur.
        measured: how many of the texts the lengths come from: all up to 25,000, else that many,
            evenly spaced.
        mean_length: tokens a text.
        length_percentiles: tokens by percentile (`"50"` is the median), and `"max"`.
        cut: the share of the texts longer than each maximum, which truncation would cut.
        histogram: how many texts have which length; bins end at `length_edges` of the report.
    """

    number: int
    fingerprint: str
    balance: dict[str, int]
    empty: int
    markup: int
    duplicates: int
    duplicate_examples: list[dict[str, Any]]
    measured: int
    mean_length: float
    length_percentiles: dict[str, int]
    cut: dict[int, float]
    histogram: list[int]


@dataclass(frozen=True)
class DataReport:
    """A set of reviews, split by split, and what goes wrong between its splits.

    Attributes:
        label_names: the classes.
        max_length_tokens: the maxima that `cut` was counted for.
        length_edges: the edges of the histograms' bins in tokens; the last bin also holds all
            longer texts.
        splits: one report a split.
        leaks: by held-out split, how many of its rows have exactly a text that stands in train.
        near_leaks: the same for near-duplicates (:func:`near_duplicate_groups`), exact ones
            included.
        leak_examples: some leaks, with their row numbers from 1; exact ones first.
        conflicts: texts that bear more than one label somewhere in the labelled splits.
        conflict_examples: some of them.
    """

    label_names: list[str]
    max_length_tokens: list[int]
    length_edges: list[int]
    splits: dict[str, SplitReport]
    leaks: dict[str, int]
    near_leaks: dict[str, int]
    leak_examples: list[dict[str, Any]]
    conflicts: int
    conflict_examples: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Turn the report into plain values that `json.dumps` takes."""
        return dataclasses.asdict(self)


def check_reviews(
    dataset: DatasetDict,
    *,
    token_lengths: Callable[[list[str]], NDArray[np.int64]],
    max_length_tokens: Sequence[int] = (128, 256, 512),
) -> DataReport:
    """Measure a set of reviews and look for the flaws that spoil training or its evaluation.

    Texts are compared exactly, character by character, so IMDB has 96 duplicates in train (25,000
    rows less 24,904 distinct texts), 199 in test, and 123 rows of test whose text stands in train.
    Empty texts are counted as empty only, never as duplicates, leaks or conflicts.

    Args:
        dataset: from :func:`load_reviews`.
        token_lengths: counts the tokens of each text, special tokens included: (N,) int64.
        max_length_tokens: the maxima of which the report tells how many texts they would cut.
    """
    maxima = sorted(set(max_length_tokens))
    texts = {str(split): list(part["text"][:]) for split, part in dataset.items()}
    labels = {str(split): list(part["label"][:]) for split, part in dataset.items()}
    names = list(dataset[TRAIN].features["label"].names)
    lengths = {split: np.asarray(token_lengths(_sample(texts[split]))) for split in texts}
    edges = _length_edges(lengths.values(), maxima)
    splits = {
        split: _check_split(
            dataset[split], texts[split], labels[split], lengths[split], maxima, edges
        )
        for split in texts
    }
    labelled = [split for split in texts if UNLABELLED not in labels[split]]
    leaks = {split: _leaks(texts[TRAIN], texts[split]) for split in labelled if split != TRAIN}
    near = {split: _near_leaks(texts[TRAIN], texts[split]) for split in leaks}
    conflicts = _conflicts(
        (text, names[label])
        for split in labelled
        for text, label in zip(texts[split], labels[split], strict=True)
    )
    return DataReport(
        label_names=names,
        max_length_tokens=maxima,
        length_edges=edges.tolist(),
        splits=splits,
        leaks={split: len(pairs) for split, pairs in leaks.items()},
        near_leaks={split: len(pairs) for split, pairs in near.items()},
        leak_examples=_leak_examples(texts, leaks, near),
        conflicts=len(conflicts),
        conflict_examples=[
            {"text": shorten(text, _EXAMPLE_CHARACTERS), "labels": sorted(conflicts[text])}
            for text in list(conflicts)[:_EXAMPLES]
        ],
    )


def _sample(texts: list[str]) -> list[str]:
    """Take every text of a split, or 25,000 evenly spaced ones of a larger one."""
    if len(texts) <= _MEASURED_TEXTS:
        return texts
    return [texts[row] for row in np.linspace(0, len(texts) - 1, _MEASURED_TEXTS).astype(int)]


def _length_edges(lengths: Iterable[NDArray[np.int64]], maxima: Sequence[int]) -> NDArray[np.int64]:
    """Choose bins of a round width up to where 99 % of the texts end, near maxima included."""
    end = max(float(np.percentile(np.concatenate(list(lengths)), 99)), 1.0)
    end = max(end, *(maximum for maximum in [1, *maxima] if maximum < 2 * end))
    width = max(1, int(np.ceil(end / _HISTOGRAM_BINS)))
    return np.arange(0, int(np.ceil(end / width)) * width + 1, width)


def _check_split(
    dataset: Dataset,
    texts: list[str],
    labels: list[int],
    lengths: NDArray[np.int64],
    maxima: Sequence[int],
    edges: NDArray[np.int64],
) -> SplitReport:
    times = Counter(text for text in texts if not is_blank(text))
    repeated = [(text, number) for text, number in times.most_common(_EXAMPLES) if number > 1]
    names = dataset.features["label"].names
    by_label = Counter(labels)
    percentiles = np.percentile(lengths, _PERCENTILES, method="inverted_cdf")
    return SplitReport(
        number=len(texts),
        fingerprint=fingerprint(dataset),
        balance={}
        if UNLABELLED in by_label
        else {name: by_label[label] for label, name in enumerate(names)},
        empty=len(texts) - times.total(),
        markup=sum(_MARKUP.search(text) is not None for text in texts),
        duplicates=times.total() - len(times),
        duplicate_examples=[
            {"text": shorten(text, _EXAMPLE_CHARACTERS), "times": number}
            for text, number in repeated
        ],
        measured=len(lengths),
        mean_length=round(float(lengths.mean()), 1),
        length_percentiles={
            **{str(p): int(value) for p, value in zip(_PERCENTILES, percentiles, strict=True)},
            "max": int(lengths.max()),
        },
        cut={maximum: float((lengths > maximum).mean()) for maximum in maxima},
        histogram=np.histogram(np.minimum(lengths, edges[-1]), edges)[0].tolist(),
    )


def _leaks(train: list[str], held_out: list[str]) -> dict[int, int]:
    """Find the rows of a held-out split whose text stands in train, and where: row -> train row."""
    rows: dict[str, int] = {}
    for row, text in enumerate(train):
        rows.setdefault(text, row)
    return {
        row: rows[text] for row, text in enumerate(held_out) if text in rows and not is_blank(text)
    }


def _near_leaks(train: list[str], held_out: list[str]) -> dict[int, int]:
    groups = near_duplicate_groups([*train, *held_out]).tolist()
    first: dict[int, int] = {}
    for row, group in enumerate(groups[: len(train)]):
        first.setdefault(group, row)
    return {
        row: first[group]
        for row, group in enumerate(groups[len(train) :])
        if group in first and not is_blank(held_out[row])
    }


def _leak_examples(
    texts: Mapping[str, list[str]],
    leaks: Mapping[str, Mapping[int, int]],
    near: Mapping[str, Mapping[int, int]],
) -> list[dict[str, Any]]:
    examples: list[dict[str, Any]] = []
    for split, exact in leaks.items():
        only_near = {row: train for row, train in near[split].items() if row not in exact}
        for kind, pairs in (("exact", exact), ("near", only_near)):
            examples.extend(
                {
                    "kind": kind,
                    "split": split,
                    "row": row + 1,
                    "train_row": train + 1,
                    "text": shorten(texts[split][row], _EXAMPLE_CHARACTERS),
                }
                for row, train in list(pairs.items())[:_EXAMPLES]
            )
    return sorted(examples, key=lambda example: example["kind"])


def _conflicts(labelled_texts: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for text, label in labelled_texts:
        labels[text].add(label)
    return {text: names for text, names in labels.items() if len(names) > 1 and not is_blank(text)}
