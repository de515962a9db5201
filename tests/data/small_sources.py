"""Small sources of reviews of every kind, written for the tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

NAMES = ["negative", "positive"]


def texts_of(kind: str, number: int) -> list[str]:
    return [
        f"Review {row} of {kind}: the film number {row * 7} is a story told well."
        for row in range(number)
    ]


TEXTS = texts_of("all", 40)
LABELS = [0, 1] * 20
CLASS_FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})


def write_csv(folder: Path, delimiter: str = ",", name: str = "reviews.csv") -> Path:
    lines = [delimiter.join(("text", "label"))]
    lines += [f'"{text}"{delimiter}{label}' for text, label in zip(TEXTS, LABELS, strict=True)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_tsv(folder: Path) -> Path:
    return write_csv(folder, "\t", "reviews.tsv")


def write_jsonl(folder: Path) -> Path:
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    path = folder / "reviews.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_json(folder: Path) -> Path:
    rows = [{"text": text, "label": bool(label)} for text, label in zip(TEXTS, LABELS, strict=True)]
    path = folder / "reviews.json"
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def write_parquet(folder: Path, name: str = "reviews.parquet", label: int | None = None) -> Path:
    path = folder / name
    labels = LABELS if label is None else [label] * len(TEXTS)
    texts = [f"{path.stem}: {text}" for text in TEXTS]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels}), path)
    return path


def write_parquet_with_class_names(folder: Path) -> Path:
    path = folder / "reviews.parquet"
    table = {"text": TEXTS, "label": LABELS}
    Dataset.from_dict(table, features=CLASS_FEATURES).to_parquet(path)
    return path


def write_hub_layout(folder: Path) -> Path:
    write_parquet(folder, "train-00000-of-00002.parquet")
    write_parquet(folder, "train-00001-of-00002.parquet")
    write_parquet(folder, "test-00000-of-00001.parquet")
    write_parquet(folder, "unsupervised-00000-of-00001.parquet", label=-1)
    files = [
        f"      - {{split: {split}, path: {split}-*.parquet}}\n"
        for split in ("train", "test", "unsupervised")
    ]
    card = "---\nconfigs:\n  - config_name: plain\n    data_files:\n" + "".join(files) + "---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def write_folder_of_csv(folder: Path) -> Path:
    write_csv(folder, name="train.csv")
    shutil.copy(write_csv(folder, name="validation.csv"), folder / "test.csv")
    return folder


def write_raw_imdb(folder: Path) -> Path:
    for split, kind in (("train", "neg"), ("train", "pos"), ("test", "neg"), ("test", "pos")):
        into = folder / "aclImdb" / split / kind
        into.mkdir(parents=True)
        for number, text in enumerate(texts_of(f"{split} {kind}", 12)):
            (into / f"{number}_{9 if kind == 'pos' else 2}.txt").write_text(text, encoding="utf-8")
    unlabelled = folder / "aclImdb" / "train" / "unsup"
    unlabelled.mkdir()
    for number, text in enumerate(texts_of("unsup", 5)):
        (unlabelled / f"{number}_0.txt").write_text(text, encoding="utf-8")
    return folder / "aclImdb"


def write_saved(folder: Path) -> Path:
    table = {"text": TEXTS, "label": LABELS}
    part = Dataset.from_dict(table, features=CLASS_FEATURES)
    DatasetDict({"train": part, "test": part}).save_to_disk(folder / "saved")
    return folder / "saved"


def write_split_column(folder: Path) -> Path:
    path = folder / "reviews.jsonl"
    splits = ["train"] * 20 + ["dev"] * 6 + ["test"] * 8 + ["unsup"] * 6
    rows = [
        {"text": text, "label": None if split == "unsup" else label, "split": split}
        for text, label, split in zip(TEXTS, LABELS, splits, strict=True)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path
