"""The end of a training: the n-grams, the calibration, the test, and the model's folder."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from numpy.typing import NDArray

from sentiment_lstm import artefact, runs
from sentiment_lstm.batches import RaggedIds
from sentiment_lstm.calibration import SHORT_TOKENS, Calibration, calibrate
from sentiment_lstm.card import model_card
from sentiment_lstm.data.rows import TRAIN, VALIDATION
from sentiment_lstm.evaluation import Evaluation, evaluate
from sentiment_lstm.figures import plot_learning_curves
from sentiment_lstm.lessons import Lessons, first_and_last_sentences
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.ngrams import fit_ngram_channel, ngram_logits
from sentiment_lstm.prediction import Classifier
from sentiment_lstm.temperature import fit_blend
from sentiment_lstm.trainer import EpochRecord, SentimentTrainer, read_history

__all__ = [
    "TrainingResult",
    "add_ngrams",
    "best_epoch",
    "calibrate_model",
    "finish",
    "fit_ngrams",
    "save",
]

# The solver holds every n-gram of every review in memory: some 50 KB a review of 300 tokens.
_MOST_NGRAM_TOKENS = 25_000_000
_CALIBRATION_SENTENCES = 8_000


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Where the model is, and how its training went."""

    output: Path
    history: list[EpochRecord]
    best_epoch: int
    validation_accuracy: float | None  # of the finished model, its n-grams included
    seconds: float
    padding_share: float  # of the LSTM's steps in training
    reviews: dict[str, int]  # a split
    calibration: Calibration | None
    evaluation: Evaluation | None = field(repr=False)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    resumed: bool = False


def finish(
    classifier: Classifier,
    trainer: SentimentTrainer,
    lessons: Lessons,
    splits: datasets.DatasetDict,
    *,
    scored: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
    test: datasets.Dataset | None,
    output: Path,
    stages: runs.Stages,
    dropped: int,
    resumed: bool,
) -> TrainingResult:
    """Add the n-grams to a model that has been trained, calibrate it, and measure it.

    Args:
        classifier: the model, on the CPU; changed in place.
        trainer: that has trained it.
        lessons: what it learnt from.
        splits: `train` and, where there is one, `validation`.
        scored: the logits (N, C) and the labels (N,) of the validation split, in the trainer's
            order; None without one, and the model is then left as it is.
        test: measured once; None measures nothing.
        output: where the model will be.
        stages: of the training.
        dropped: how many texts were left out of it.
        resumed: whether the training was.
    """
    validation = splits.get(VALIDATION)
    calibration, validation_accuracy = None, None
    if scored is not None and validation is not None:
        (logits, labels), ids = scored, trainer.validation_ids()
        lengths = np.array([len(row) for row in ids])
        with stages.timed("n-grams and calibration"):
            logits = add_ngrams(
                classifier.model, lessons, validation_ids=ids, logits=logits, labels=labels
            )
            calibration = calibrate_model(
                classifier, validation, logits=logits, labels=labels, lengths=lengths
            )
        decisions = calibration.rescaled(logits, lengths).argmax(1)
        validation_accuracy = float((decisions == labels).mean())
    seconds = sum(stages.seconds.values())
    history = read_history(trainer.state.log_history)
    return TrainingResult(
        output=output,
        history=history,
        best_epoch=best_epoch(history),
        validation_accuracy=validation_accuracy,
        seconds=seconds,
        padding_share=trainer.padding_share(),
        reviews={
            "train": len(splits[TRAIN]),
            "validation": 0 if validation is None else len(validation),
            "dropped": dropped,
        },
        calibration=calibration,
        evaluation=None if test is None else evaluate(classifier, test),
        stage_seconds=dict(stages.seconds),
        resumed=resumed,
    )


def fit_ngrams(model: SentimentModel, lessons: Lessons) -> None:
    """Fit the n-gram channel, if the model has one, to the first 25 million tokens of the reviews.

    The labelled ones stand first, and are all read even where they are more. IMDB's labelled and
    unlabelled ones together have fewer.
    """
    if model.ngrams is None:
        return
    reviews = lessons.rows.select(range(lessons.reviews))
    tokens = np.cumsum(reviews.with_format("numpy")["length"][:], dtype=np.int64)
    fitting = int(np.searchsorted(tokens, _MOST_NGRAM_TOKENS, side="right"))
    number = max(fitting, lessons.labelled)
    reviews = reviews.select(range(number))
    fit_ngram_channel(model.ngrams, RaggedIds(reviews), lessons.first_targets(number))


def add_ngrams(
    model: SentimentModel,
    lessons: Lessons,
    *,
    validation_ids: list[list[int]],
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Fit the n-gram channel, where the model has one, and weigh it in by the validation split.

    Args:
        model: trained; its channel is changed in place.
        lessons: what it learnt from.
        validation_ids: N tokenized reviews.
        logits: (N, C), what the LSTM says of them, no temperature divided out.
        labels: (N,).

    Returns:
        (N, C), with the channel.
    """
    if model.ngrams is None:
        return logits
    fit_ngrams(model, lessons)
    others = ngram_logits(model.ngrams, validation_ids)
    model.config.ngram_scale = fit_blend(logits, others, labels)
    return logits + model.config.ngram_scale * others


def calibrate_model(
    classifier: Classifier,
    validation: datasets.Dataset,
    *,
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> Calibration:
    """Fit the model's confidence to the validation split, and that of short texts to its sentences.

    To those with which its reviews begin and end; see `first_and_last_sentences`.

    Args:
        classifier: a model that has its n-grams, and is not calibrated yet; changed in place.
        validation: columns `text` and `label`.
        logits: (N, C), what the model says of the reviews.
        labels: (N,), in the same order.
        lengths: (N,) tokens, likewise.
    """
    config = classifier.model.config
    sentences = None
    # Where the reviews are short themselves, there is nothing to tell apart.
    if config.mask_padding and np.median(lengths) >= SHORT_TOKENS[1]:
        ends = first_and_last_sentences(validation, _CALIBRATION_SENTENCES)
        if len(ends):
            sentences = (classifier.logits(ends["text"][:]), np.asarray(ends["label"]))
    calibration = calibrate(logits, labels, lengths=lengths, sentences=sentences)
    config.temperature, config.calibration_bias = calibration.temperature, calibration.bias
    if calibration.short is not None:
        config.short_temperature = calibration.short.temperature
        config.short_bias = calibration.short.bias
        config.short_tokens = calibration.short.tokens
    return calibration


def best_epoch(history: list[EpochRecord]) -> int:
    """The epoch whose weights are kept: the first of the best by validation, else the last."""
    validated = [record for record in history if record.validation_accuracy is not None]
    if not validated:
        return history[-1].epoch
    return max(validated, key=lambda record: (record.validation_accuracy, -record.epoch)).epoch


def save(result: TrainingResult, classifier: Classifier, run: dict, work: Path) -> None:
    """Write the model folder: the model, its card, its metrics, and how it was trained."""
    metrics: dict[str, Any] = {}
    if result.calibration is not None:
        metrics["validation"] = {
            "reviews": result.reviews["validation"],
            "accuracy": result.validation_accuracy,
            "log_loss": result.calibration.log_loss_after,
            "expected_calibration_error": result.calibration.expected_calibration_error_after,
        }
    if result.evaluation is not None:
        metrics["test"] = result.evaluation.summary()
    training = {
        **run,
        "history": [asdict(record) for record in result.history],
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 1),
        "stage_seconds": {name: round(value, 1) for name, value in result.stage_seconds.items()},
        "reviews": result.reviews,
        "padding_share": round(result.padding_share, 4),
        "facts": runs.facts(run, result.seconds, result.reviews),
    }

    def write(folder: Path) -> None:
        classifier.model.save_pretrained(folder)
        classifier.tokenizer.save_pretrained(folder)
        artefact.seal(folder)
        if result.calibration is not None:
            artefact.write_json(folder / artefact.CALIBRATION, result.calibration.to_dict())
        artefact.write_json(folder / artefact.METRICS, metrics)
        artefact.write_json(folder / artefact.TRAINING, training)
        plot_learning_curves(
            [asdict(record) for record in result.history], folder / artefact.CURVES
        )
        card = model_card(
            name=result.output.name,
            labels=classifier.labels,
            metrics=metrics,
            training=training,
            calibration=None if result.calibration is None else result.calibration.to_dict(),
        )
        (folder / artefact.CARD).write_text(card, encoding="utf-8")
        if (work / "tensorboard").is_dir():
            shutil.copytree(work / "tensorboard", folder / "runs")

    artefact.replace_folder(result.output, write)
