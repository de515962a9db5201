"""Put an exported model into the package, with its card and its accuracy on the test split.

python packaging/bundle.py MODEL --reviews SOURCE
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from sentiment_lstm import artefact, runs, runtime
from sentiment_lstm.card import model_card
from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import SentimentError
from sentiment_lstm.evaluation import evaluate

BUNDLED = Path(__file__).resolve().parents[1] / "src" / "sentiment_lstm" / "bundled"
FILES = (
    artefact.CONFIG,
    *artefact.TOKENIZER,
    artefact.CALIBRATION,
    artefact.TRAINING,
    artefact.ONNX_QUANTIZED,
    artefact.ONNX_EXPORT,
)
NAME = "sentiment-lstm-imdb"


def main() -> None:
    """Bundle the model that is named; a mistake ends with one sentence and exit status 2."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--reviews", required=True, help="with a test split")
    arguments = parser.parse_args()
    missing = [name for name in FILES if not (arguments.model / name).is_file()]
    if missing:
        parser.error(
            f"{arguments.model} has no {', '.join(missing)}. Name a trained model, exported by "
            "`sentiment-lstm export MODEL --reviews SOURCE` with a file in 8 bits."
        )
    try:
        bundle(arguments.model, arguments.reviews)
    except SentimentError as error:
        parser.error(str(error))


def bundle(model: Path, source: str) -> None:
    """Copy the files, measure what was copied, and write the card."""
    test = load_reviews(source)["test"]

    def write(folder: Path) -> None:
        for name in FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(model / name, folder / name)
        metrics = artefact.read_json(model / artefact.METRICS)
        metrics["test"] = evaluate(runtime.load(folder), test).summary()
        artefact.write_json(folder / artefact.METRICS, metrics)
        describe(folder)

    artefact.replace_folder(BUNDLED, write)
    size = sum(path.stat().st_size for path in BUNDLED.rglob("*") if path.is_file())
    print(f"{BUNDLED.name}: {size / 1e6:.1f} MB")


def describe(folder: Path) -> None:
    """Write the facts on the training, and the card, from what else the folder says."""
    training = artefact.read_json(folder / artefact.TRAINING)
    training["data"]["source"] = "imdb"  # as everybody can name it
    # Anew, for they tell the source and the seconds, which may have been corrected since.
    training["facts"] = runs.facts(training, training["seconds"], training["reviews"])
    artefact.write_json(folder / artefact.TRAINING, training)
    card = model_card(
        name=NAME,
        labels=runtime.load(folder).labels,
        metrics=artefact.read_json(folder / artefact.METRICS),
        training=training,
        calibration=artefact.read_json(folder / artefact.CALIBRATION),
        bundled=True,
    )
    (folder / artefact.CARD).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
