"""Do soft ordinal targets bring star ratings closer, how steep, and which label wins?

    python benchmarks/ordinal.py                 # every row that is not there yet
    python benchmarks/ordinal.py --limit 300     # a quick try, kept out of the results

The reviews are IMDB's that state a rating out of ten (see `stars.py`), of the training and the
unsupervised split; of each its last 60 words, which sum it up, so that a training takes half a
minute of one core. A quarter is held out, and all figures are of that quarter: they choose a
default, so the test split is left unread. The model is the recipe default with a smaller LSTM and
without the n-grams, which no target reaches.

Each model is judged by the label of the highest probability (`mode`) and by the first label up to
which half of the probability lies (`median`), which no other beats in expected distance.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import datasets
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    markdown_table,
    package_versions,
    read_json,
    run_script,
    sample,
    write_json,
    write_text,
)
from sentiment_lstm.data import fingerprint, split_reviews
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import load_recipe, override
from sentiment_lstm.training import train
from stars import rated_splits

__all__ = ["judged", "ordinal"]

_SLOPES = (0.0, 1.0, 1.5, 2.0, 3.0)  # 0 stands for class ids, without any order
_LAST_WORDS = 60
_SETTINGS = [
    "model.embedding_size=64",
    "model.hidden_size=48",
    "model.ngram_buckets=0",
    "training.epochs=4",
]


def ordinal(
    source: Annotated[str, typer.Option(help="IMDB, as a folder or as imdb.")] = DEFAULT_SOURCE,
    slopes: Annotated[str, typer.Option(help="Separated by commas; 0 for class ids.")] = ",".join(
        f"{slope:g}" for slope in _SLOPES
    ),
    seeds: Annotated[str, typer.Option(help="Separated by commas.")] = "0,1",
    limit: Annotated[
        int | None, typer.Option(help="This many reviews a split, and no results kept.", min=60)
    ] = None,
) -> None:
    """Train one model a slope and seed, and judge each by both labels."""
    console = Console(highlight=False)
    splits = _star_ratings(source, limit)
    sizes = {name: len(part) for name, part in splits.items()}
    conditions = {
        "reviews": sizes,
        "fingerprint": fingerprint(splits["train"]),
        "settings": _SETTINGS,
        "last_words": _LAST_WORDS,
        "versions": package_versions("sentiment-lstm", "torch", "transformers", "scikit-learn"),
    }
    path = RESULTS / "ordinal.json"
    kept = (read_json(path) or {}) if limit is None else {}
    runs = kept["runs"] if kept.get("conditions") == conditions else []
    done = {(run["slope"], run["seed"]) for run in runs}
    for seed in map(int, seeds.split(",")):
        for slope in map(float, slopes.split(",")):
            if (slope, seed) in done:
                continue
            runs.append({"slope": slope, "seed": seed, **_measured(splits, slope, seed)})
            found = runs[-1]["validation"]["mode"]
            console.print(f"slope {slope:g}, seed {seed}: {found}")
            if limit is None:
                write_json(path, {"conditions": conditions, "runs": runs})
                write_text(path.with_suffix(".md"), _markdown(conditions, runs))
    console.print(_markdown(conditions, runs))


def judged(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Compare the label of the highest probability and the median one with the truth.

    Args:
        probabilities: (N, C).
        labels: (N,) class ids.

    Returns:
        Under `mode` and `median`: accuracy, mean absolute error in classes, and quadratic kappa.
    """
    from sklearn.metrics import cohen_kappa_score

    found = {}
    for name, predicted in (
        ("mode", probabilities.argmax(axis=1)),
        ("median", (probabilities.cumsum(axis=1) < 0.5).sum(axis=1)),
    ):
        found[name] = {
            "accuracy": float((predicted == labels).mean()),
            "mean_absolute_error": float(np.abs(predicted - labels).mean()),
            "kappa": float(cohen_kappa_score(labels, predicted, weights="quadratic")),
        }
    return found


def _star_ratings(source: str, limit: int | None) -> datasets.DatasetDict:
    rated = rated_splits(source, last_words=_LAST_WORDS)
    train_split, held_out = split_reviews(rated["train"], test_size=0.25, seed=0)
    splits = {"train": train_split, "validation": held_out}
    return datasets.DatasetDict(
        {name: sample(part, limit, seed=0) for name, part in splits.items()}
    )


def _measured(splits: datasets.DatasetDict, slope: float, seed: int) -> dict[str, Any]:
    settings = list(_SETTINGS)
    if slope:
        settings += ["training.ordinal=true", f"training.ordinal_slope={slope}"]
    recipe = override(load_recipe("default"), settings)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        result = train(splits, recipe, output, seed=seed, evaluate_test=False)
        classifier = load(output)
    held_out = splits["validation"]
    probabilities = classifier.predict_proba(list(held_out["text"]))
    return {
        "best_epoch": result.best_epoch,
        "validation": judged(probabilities, np.array(held_out["label"])),
    }


def _markdown(conditions: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """A line a slope and label, means over the seeds."""
    head = ["Targets", "Label", "Seeds", "Accuracy", "Mean error", "Quadratic kappa"]
    figures = {"accuracy": ".2%", "mean_absolute_error": ".3f", "kappa": ".3f"}
    rows = []
    for slope in sorted({run["slope"] for run in runs}):
        ours = [run["validation"] for run in runs if run["slope"] == slope]
        for label in ("mode", "median"):
            cells = ["class ids" if not slope else f"slope {slope:g}", label, str(len(ours))]
            for figure, form in figures.items():
                cells.append(format(float(np.mean([run[label][figure] for run in ours])), form))
            rows.append(cells)
    sizes = ", ".join(f"{size:,} {name}" for name, size in conditions["reviews"].items())
    return f"{markdown_table(head, rows)}\n{sizes}; means over the seeds.\n"


if __name__ == "__main__":
    run_script(ordinal)
