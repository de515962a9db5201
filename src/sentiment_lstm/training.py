"""Recipe and reviews in, a model folder out, on `transformers.Trainer`.

Checkpoints, the log for TensorBoard and `run.json` stand in ``NAME.training`` beside the output until
the model is saved; ``resume=True`` goes on from the newest whole checkpoint there, and ends with the
same weights as a training that was never interrupted.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.integrations import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from sentiment_lstm import artefact, runs
from sentiment_lstm.batches import (
    LengthBucketSampler,
    collate_ragged,
    collate_tensors,
    fixed_length_dataset,
    padding_share,
)
from sentiment_lstm.calibration import Calibration, calibrate, fit_temperature
from sentiment_lstm.card import model_card
from sentiment_lstm.data import split_reviews
from sentiment_lstm.embeddings import pretrained_embeddings
from sentiment_lstm.errors import DataError, RecipeError
from sentiment_lstm.evaluation import Evaluation, evaluate
from sentiment_lstm.figures import plot_learning_curves
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.model.ngram_channel import class_scores
from sentiment_lstm.ngrams import fit_ngram_table, ngram_presence, out_of_fold_scores
from sentiment_lstm.prediction import Classifier
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.text import is_blank
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews

__all__ = ["EpochRecord", "TrainingResult", "build_model", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch gave; accuracies are shares from 0 to 1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Where the model is, and how its training went."""

    output: Path
    history: list[EpochRecord]
    best_epoch: int
    seconds: float
    padding_share: float  # of the LSTM's steps in training
    reviews: dict[str, int]  # a split
    calibration: Calibration | None
    evaluation: Evaluation | None = field(repr=False)
    resumed: bool = False


def train(
    reviews: datasets.DatasetDict,
    recipe: Recipe,
    output: str | Path,
    *,
    source: str = "",
    seed: int = 0,
    resume: bool = False,
    restart: bool = False,
    tokenizer_source: str | Path | None = None,
    evaluate_test: bool = True,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool = False,
) -> TrainingResult:
    """Train a classifier and save it as a model folder.

    Args:
        reviews: split `train` and, if there is one, `test`; columns `text` and `label`. A split
            `validation` is used as it is; else the recipe's share of `train` is held out, no
            near-duplicate standing on both sides.
        recipe: from `sentiment_lstm.recipes.load_recipe`.
        output: the model folder; a model that stands there is replaced once the new one is whole.
        source: what the reviews were loaded from, for the records.
        seed: of the split, the starting weights, the dropout and the order.
        resume: go on with the unfinished training of this output.
        restart: throw an unfinished training of this output away.
        tokenizer_source: as in `load_tokenizer`.
        evaluate_test: measure the split `test` once, when all is decided.
        on_epoch: called with the record of each epoch.
        progress: draw progress bars on standard error.

    Raises:
        DataError: the reviews cannot be trained on.
        RecipeError: the recipe's settings contradict each other, or differ from the resumed run's.
        SaveError: the output cannot be written, or an unfinished training stands beside it.
    """
    with quiet_libraries(show_progress=progress):
        return _train(
            reviews,
            recipe,
            Path(output),
            source=source,
            seed=seed,
            resume=resume,
            restart=restart,
            tokenizer_source=tokenizer_source,
            evaluate_test=evaluate_test,
            on_epoch=on_epoch,
            progress=progress,
        )


def build_model(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, label_names: list[str]
) -> SentimentModel:
    """Build the untrained model of a recipe; its weights depend on torch's global seed.

    Raises:
        RecipeError: a setting of the recipe's section [model] is out of its range.
    """
    settings = asdict(recipe.model)
    start_from_pretrained = settings.pop("pretrained_embeddings")
    longest_ngram = settings.pop("longest_ngram")
    tokens = recipe.tokens
    try:
        config = SentimentConfig(
            **{**settings, "segment_length": settings["segment_length"] or None},
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            fixed_length=tokens.max_length_tokens if tokens.fixed_length else None,
            ngram_orders=list(range(1, longest_ngram + 1)),
            id2label=dict(enumerate(label_names)),
            label2id={name: class_id for class_id, name in enumerate(label_names)},
        )
    except ValueError as error:
        raise RecipeError(f"recipe {recipe.name}, section [model]: {error}") from error
    model = SentimentModel(config)
    if start_from_pretrained:
        vectors = pretrained_embeddings(tokenizer, embedding_size=config.embedding_size)
        model.embedding.weight.data.copy_(torch.from_numpy(vectors))
    return model


def _train(
    reviews: datasets.DatasetDict,
    recipe: Recipe,
    output: Path,
    *,
    source: str,
    seed: int,
    resume: bool,
    restart: bool,
    tokenizer_source: str | Path | None,
    evaluate_test: bool,
    on_epoch: Callable[[EpochRecord], None] | None,
    progress: bool,
) -> TrainingResult:
    artefact.check_replaceable(output)
    train_split, validation, dropped = _training_splits(reviews, recipe, seed)
    run = runs.describe(recipe, seed=seed, source=source, train=train_split, validation=validation)
    work = runs.open_folder(output, run, resume=resume, restart=restart)

    tokenizer = load_tokenizer(
        tokenizer_source,
        clean_markup=recipe.tokens.clean_markup,
        max_length_tokens=recipe.tokens.max_length_tokens or None,
    )
    label_names = reviews["train"].features["label"].names
    set_seed(seed)
    model = build_model(recipe, tokenizer, label_names)
    trainer = _make_trainer(
        model, tokenizer, recipe, train_split, validation, work, seed, progress, on_epoch
    )
    checkpoint = runs.newest_checkpoint(work) if resume else None
    started = time.perf_counter()
    if checkpoint is not None and runs.stopped_early(checkpoint):
        # Killed between the last epoch and the saving: training on would add an epoch.
        trainer.restore_best(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    seconds = runs.add_seconds(work, time.perf_counter() - started)

    calibration = None
    if validation is not None:
        logits, labels = trainer.validation_logits()
        calibration = calibrate(logits, labels)
        model.config.temperature = calibration.temperature
    history = _history(trainer.state.log_history)
    best_epoch = _best_epoch(history)
    classifier = Classifier(model.cpu(), tokenizer)
    evaluation = (
        evaluate(classifier, reviews["test"]) if evaluate_test and "test" in reviews else None
    )
    result = TrainingResult(
        output=output,
        history=history,
        best_epoch=best_epoch,
        seconds=seconds,
        padding_share=trainer.padding_share(),
        reviews={
            "train": len(train_split),
            "validation": 0 if validation is None else len(validation),
            "dropped": dropped,
        },
        calibration=calibration,
        evaluation=evaluation,
        resumed=checkpoint is not None,
    )
    if trainer.is_world_process_zero():
        _save(result, classifier, recipe, run, work)
        shutil.rmtree(work, ignore_errors=True)
    return result


class _SentimentTrainer(Trainer):
    """`Trainer` with length buckets, and with the training accuracy among its logs."""

    def __init__(self, *, lengths: NDArray[np.int64], recipe: Recipe, **arguments: Any) -> None:
        self._lengths = lengths
        self._recipe = recipe
        self._correct = torch.zeros(2)  # right ones, all of them
        self._epoch_started = time.perf_counter()
        super().__init__(**arguments)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:  # noqa: ANN401 - as `Trainer` has it
        labels = inputs["labels"]
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        if model.training:
            right = (outputs.logits.detach().argmax(1) == labels).sum()
            self._correct += torch.tensor([float(right), float(len(labels))])
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            right, seen = self.accelerator.reduce(self._correct.to(self.args.device)).tolist()
            logs = {
                **logs,
                "train_accuracy": right / max(seen, 1.0),
                "epoch_seconds": time.perf_counter() - self._epoch_started,
            }
            self._correct = torch.zeros(2)
        super().log(logs, start_time)

    def restore_best(self, checkpoint: Path) -> None:
        """Put a finished training back as it stood before its model was saved."""
        self.state = self.state.load_from_json(str(checkpoint / runs.TRAINER_STATE))
        if self.state.best_model_checkpoint:
            self._load_best_model()
        else:
            self._load_from_checkpoint(str(checkpoint))

    def validation_logits(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Scores (N, C) and labels (N,) of the validation split under the kept weights."""
        output = self.predict(self.eval_dataset)  # type: ignore[arg-type]
        return np.asarray(output.predictions, dtype=np.float64), np.asarray(output.label_ids)

    def padding_share(self) -> float:
        """Share of the LSTM's steps that fall on padding, over one epoch of training."""
        return padding_share(
            self._lengths,
            list(self._sampler()),
            batch_size=self._recipe.training.batch_size,
            computed_tokens=self.accelerator.unwrap_model(self.model).computed_tokens,
        )

    def _get_train_sampler(self, *_: Any) -> Any:  # noqa: ANN401 - as `Trainer` has it
        if self._recipe.tokens.fixed_length:
            return super()._get_train_sampler()
        return self._sampler()

    def _sampler(self) -> LengthBucketSampler:
        return LengthBucketSampler(
            self._lengths, batch_size=self._recipe.training.batch_size, seed=self.args.seed
        )


class _EpochReporter(TrainerCallback):
    """Hand each epoch's record over as soon as it is whole."""

    def __init__(self, on_epoch: Callable[[EpochRecord], None] | None, *, validates: bool) -> None:
        self.on_epoch = on_epoch
        self.validates = validates
        self.trainer: _SentimentTrainer | None = None

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        if self.trainer is not None:
            self.trainer._epoch_started = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        last = "eval_loss" if self.validates else "loss"
        if self.on_epoch and state.is_world_process_zero and last in (logs or {}):
            self.on_epoch(_history(state.log_history)[-1])


class _QuietProgress(ProgressCallback):
    """The progress bars of `Trainer` without its dump of every log."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass


def _make_trainer(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    train_split: datasets.Dataset,
    validation: datasets.Dataset | None,
    work: Path,
    seed: int,
    progress: bool,
    on_epoch: Callable[[EpochRecord], None] | None,
) -> _SentimentTrainer:
    settings = recipe.training
    limit = recipe.tokens.max_length_tokens or None
    tokenized = tokenize_reviews(train_split, tokenizer, max_length_tokens=limit)
    lengths = np.asarray(tokenized["length"])
    if model.ngrams is not None:
        tokenized = _fit_ngrams(model, tokenized, seed)
    train_data: Any = tokenized
    collate = partial(collate_ragged, pad_token_id=tokenizer.pad_token_id)
    validation_data: Any = None
    if validation is not None:
        # Sorted by length, so that little of the validation is padding; its order means nothing.
        validation_data = tokenize_reviews(validation, tokenizer, max_length_tokens=limit)
        validation_data = validation_data.select(np.argsort(validation_data["length"]))
    if recipe.tokens.fixed_length:
        fixed = partial(
            fixed_length_dataset, length_tokens=limit or 0, pad_token_id=tokenizer.pad_token_id
        )
        train_data = fixed(tokenized)
        validation_data = None if validation_data is None else fixed(validation_data)
        collate = collate_tensors

    validates = validation_data is not None
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=max(settings.batch_size, 64),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,  # AdamW without weight decay is Adam
        max_grad_norm=settings.max_gradient_norm,
        label_smoothing_factor=settings.label_smoothing,
        eval_strategy="epoch" if validates else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=validates,
        metric_for_best_model="accuracy" if validates else None,
        greater_is_better=True if validates else None,
        logging_strategy="epoch",
        report_to="none",
        seed=seed,
        disable_tqdm=not progress,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    reporter = _EpochReporter(on_epoch, validates=validates)
    callbacks: list[TrainerCallback] = [
        TensorBoardCallback(SummaryWriter(str(work / "tensorboard"))),
        reporter,
    ]
    if settings.patience:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    trainer = _SentimentTrainer(
        lengths=lengths,
        recipe=recipe,
        model=model,
        args=arguments,
        train_dataset=train_data,
        eval_dataset=validation_data,
        data_collator=collate,
        compute_metrics=_accuracy if validates else None,
        callbacks=callbacks,
    )
    reporter.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if progress and sys.stderr.isatty():
        trainer.add_callback(_QuietProgress())
    return trainer


def _fit_ngrams(model: SentimentModel, tokenized: datasets.Dataset, seed: int) -> datasets.Dataset:
    """Fit the model's n-gram channel, and add what it says of each review without having seen it.

    Returns:
        The reviews with a column `ngram_logits` (C floats), scaled as the channel will be.
    """
    assert model.ngrams is not None
    config = model.config
    labels = np.asarray(tokenized["labels"])
    presence = ngram_presence(
        tokenized["input_ids"], orders=config.ngram_orders, buckets=config.ngram_buckets
    )
    weight, bias = fit_ngram_table(presence, labels, num_labels=config.num_labels)
    model.ngrams.weight.data.copy_(torch.from_numpy(weight))
    model.ngrams.bias.data.copy_(torch.from_numpy(bias))
    unseen = out_of_fold_scores(presence, labels, num_labels=config.num_labels, seed=seed)
    logits = class_scores(torch.from_numpy(unseen)).numpy()
    # The scale at which the channel's own confidence is right; the LSTM then adds to it.
    config.ngram_scale = 1.0 / fit_temperature(logits, labels) if unseen.any() else 0.0
    return tokenized.add_column("ngram_logits", (config.ngram_scale * logits).tolist())


def _accuracy(prediction: Any) -> dict[str, float]:  # noqa: ANN401 - `EvalPrediction` has no base
    predicted = np.asarray(prediction.predictions).argmax(axis=1)
    return {"accuracy": float((predicted == prediction.label_ids).mean())}


def _training_splits(
    reviews: datasets.DatasetDict, recipe: Recipe, seed: int
) -> tuple[datasets.Dataset, datasets.Dataset | None, int]:
    """Split train and validation, without blank texts, and the number of those."""
    if "train" not in reviews:
        raise DataError(f"There is no split 'train', only {', '.join(reviews)}. Name another source.")
    train_split, validation, dropped = reviews["train"], reviews.get("validation"), 0
    if any(map(is_blank, train_split["text"])):
        before = len(train_split)
        train_split = train_split.filter(lambda text: not is_blank(text), input_columns="text")
        dropped = before - len(train_split)
        logger.warning("%d of %d training texts are empty and left out.", dropped, before)
    if len(set(train_split["label"])) < 2:
        raise DataError("The training reviews are all of one class. Add reviews of another.")
    size = recipe.training.validation_size
    if not size:
        return train_split, None, dropped
    if validation is None:
        train_split, validation = split_reviews(train_split, test_size=size, seed=seed)
    return train_split, validation, dropped


def _history(log: list[dict[str, float]]) -> list[EpochRecord]:
    """Join what `Trainer` logged of an epoch's training and of its validation."""
    epochs: dict[int, dict[str, Any]] = {}
    names = {
        "loss": "train_loss",
        "train_accuracy": "train_accuracy",
        "eval_loss": "validation_loss",
        "eval_accuracy": "validation_accuracy",
        "epoch_seconds": "seconds",
    }
    for entry in log:
        if "loss" in entry or "eval_loss" in entry:
            epoch = round(entry["epoch"])
            values = epochs.setdefault(epoch, {"epoch": epoch})
            values.update({names[key]: value for key, value in entry.items() if key in names})
    return [EpochRecord(**values) for _, values in sorted(epochs.items()) if "train_loss" in values]


def _best_epoch(history: list[EpochRecord]) -> int:
    """The epoch whose weights are kept: the first of the best by validation, else the last."""
    validated = [record for record in history if record.validation_accuracy is not None]
    if not validated:
        return history[-1].epoch
    return max(validated, key=lambda record: (record.validation_accuracy, -record.epoch)).epoch


def _save(
    result: TrainingResult, classifier: Classifier, recipe: Recipe, run: dict, work: Path
) -> None:
    metrics: dict[str, Any] = {}
    if result.calibration is not None:
        best = next(record for record in result.history if record.epoch == result.best_epoch)
        metrics["validation"] = {
            "accuracy": best.validation_accuracy,
            "loss": best.validation_loss,
            "reviews": result.reviews["validation"],
        }
    if result.evaluation is not None:
        metrics["test"] = result.evaluation.summary()
    training = {
        **run,
        "history": [asdict(record) for record in result.history],
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 1),
        "reviews": result.reviews,
        "padding_share": round(result.padding_share, 4),
        "facts": runs.facts(run, result.seconds, result.reviews),
    }

    def write(folder: Path) -> None:
        classifier.model.save_pretrained(folder)
        classifier.tokenizer.save_pretrained(folder)
        if result.calibration is not None:
            artefact.write_json(folder / artefact.CALIBRATION, result.calibration.to_dict())
        artefact.write_json(folder / artefact.METRICS, metrics)
        artefact.write_json(folder / artefact.TRAINING, training)
        plot_learning_curves(
            [asdict(record) for record in result.history], folder / artefact.CURVES
        )
        card = model_card(
            name=result.output.name,
            recipe=recipe,
            labels=classifier.labels,
            metrics=metrics,
            training=training,
            calibration=None if result.calibration is None else result.calibration.to_dict(),
        )
        (folder / artefact.CARD).write_text(card, encoding="utf-8")
        if (work / "tensorboard").is_dir():
            shutil.copytree(work / "tensorboard", folder / "runs")

    artefact.replace_folder(result.output, write)
