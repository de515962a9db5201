"""`transformers.Trainer` as used here: length buckets, training accuracy, epoch records."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter
from transformers import EarlyStoppingCallback, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback
from transformers.trainer_pt_utils import LabelSmoother

from sentiment_lstm import ranks, runs
from sentiment_lstm.adversarial import Adversary
from sentiment_lstm.batches import (
    LengthBucketSampler,
    collate_ragged,
    collate_tensors,
    fixed_length_dataset,
    padding_share,
)
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.ordinal import ordinal_targets
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.sampling import SegmentSample, SentenceGroups

__all__ = ["EpochRecord", "QuietProgress", "SentimentTrainer", "make_trainer", "read_history"]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch gave; accuracies are shares from 0 to 1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    seconds: float = 0.0


def make_trainer(
    model: SentimentModel,
    recipe: Recipe,
    *,
    train: datasets.Dataset,
    validation: datasets.Dataset | None,
    work: Path,
    seed: int,
    reviews: int | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    progress: bool = False,
) -> SentimentTrainer:
    """Set the training of a recipe up.

    Args:
        model: untrained.
        recipe: its section [training] and the fixed length, if it has one, are used.
        train: tokenized, as `tokenize_reviews` gives it.
        validation: likewise; None trains without one, and keeps the last epoch.
        work: where checkpoints and TensorBoard's log go.
        seed: of the order and the dropout.
        reviews: how many rows of `train`, the first ones, are whole reviews; None takes all.
        on_epoch: called with the record of each epoch.
        progress: draw a progress bar where standard error is a terminal.
    """
    settings = recipe.training
    pad_token_id = model.config.pad_token_id
    train_data, lengths = _as_read(
        train, recipe, reviews=len(train) if reviews is None else reviews, seed=seed
    )
    # Sorted by length, so that little of the validation is padding; its order means nothing.
    validation_data: Any = (
        None if validation is None else validation.select(np.argsort(validation["length"]))
    )
    collate: Any = partial(collate_ragged, pad_token_id=pad_token_id)
    if recipe.tokens.fixed_length:
        fixed = partial(
            fixed_length_dataset,
            length_tokens=recipe.tokens.max_length_tokens,
            pad_token_id=pad_token_id,
        )
        train_data = fixed(train)
        validation_data = None if validation_data is None else fixed(validation_data)
        collate = collate_tensors

    validates = validation_data is not None
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=ranks.share_of_batch(settings.batch_size),
        per_device_eval_batch_size=max(settings.batch_size, 64),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,  # AdamW without weight decay is Adam
        max_grad_norm=settings.max_gradient_norm,
        optim="adamw_torch_fused",
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
        **ranks.trainer_arguments(),
    )
    reporter = _EpochReporter(on_epoch, validates=validates)
    callbacks: list[TrainerCallback] = [reporter]
    if ranks.is_first():
        callbacks.insert(0, TensorBoardCallback(SummaryWriter(str(work / "tensorboard"))))
    if settings.patience:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    trainer = SentimentTrainer(
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
        trainer.add_callback(QuietProgress())
    return trainer


def _as_read(
    train: datasets.Dataset, recipe: Recipe, *, reviews: int, seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """Give what an epoch reads of the tokenized texts, and the tokens of what a batch counts."""
    settings = recipe.training
    rows: Any = train
    lengths = np.asarray(train.with_format("numpy")["length"][:])
    if settings.segments:
        rows = SegmentSample(
            rows,
            lengths,
            segments=settings.segments,
            segment_length=recipe.model.segment_length,
        )
        lengths = rows.lengths
    if settings.sentence_group > 1:
        rows = SentenceGroups(
            rows, lengths, reviews=reviews, size=settings.sentence_group, seed=seed
        )
        lengths = rows.lengths
    return rows, lengths


def read_history(log: list[dict[str, float]]) -> list[EpochRecord]:
    """Join what `Trainer` logged of each epoch's training and of its validation."""
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


class SentimentTrainer(ranks.RankTrainer):
    """`Trainer` with length buckets, soft labels, and the training accuracy among its logs."""

    def __init__(self, *, lengths: NDArray[np.int64], recipe: Recipe, **arguments: Any) -> None:
        self._lengths = lengths
        self._recipe = recipe
        self._correct = torch.zeros(2)  # right ones, all of them
        self._counts = True
        self._epoch_started = time.perf_counter()
        super().__init__(**arguments)
        if self.label_smoother is not None:
            self.label_smoother = _LabelSmoother(epsilon=self.args.label_smoothing_factor)
        # A row a class: the probabilities to train on in its place.
        self._targets: torch.Tensor | None = None
        if recipe.training.ordinal:
            classes = arguments["model"].num_labels
            table = ordinal_targets(classes, slope=recipe.training.ordinal_slope)
            self._targets = torch.from_numpy(table).to(self.args.device)  # (C, C)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        labels = inputs["labels"]
        # Lessons with a teacher bring probabilities, the order of the classes already in them.
        if model.training and self._targets is not None and labels.ndim == 1:
            inputs = {**inputs, "labels": self._targets[labels]}  # (B, C)
        computed: Any = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        loss, outputs = computed
        if model.training and self._counts:
            truth = labels.argmax(1) if labels.ndim == 2 else labels
            right = (outputs.logits.detach().argmax(1) == truth).sum()
            self._correct += torch.tensor([float(right), float(len(labels))])
        return (loss, outputs) if return_outputs else loss

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        # The gradients of both readings add up; the loss of the first is the one that is told.
        step = partial(super().training_step, model, num_items_in_batch=num_items_in_batch)
        settings = self._recipe.training
        epsilon = settings.adversarial_epsilon
        if not epsilon or self.state.global_step % settings.adversarial_every:
            return step(inputs)
        bare: Any = self.accelerator.unwrap_model(model)
        adversary = Adversary(epsilon)
        try:
            bare.perturb = adversary.listen
            loss = step(dict(inputs))
            bare.perturb, self._counts = adversary.disturb, False
            step(dict(inputs))
        finally:
            bare.perturb, self._counts = None, True
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            counts: Any = self.accelerator.reduce(self._correct.to(self.args.device))
            right, seen = counts.tolist()
            logs = {
                **logs,
                "train_accuracy": right / max(seen, 1.0),
                "epoch_seconds": time.perf_counter() - self._epoch_started,
            }
            self._correct = torch.zeros(2)
        super().log(logs, start_time)

    def start_clock(self) -> None:
        """Begin to count the seconds of an epoch."""
        self._epoch_started = time.perf_counter()

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

    def validation_ids(self) -> list[list[int]]:
        """The tokenized reviews of the validation split, in the order of its logits."""
        validation: Any = self.eval_dataset
        return validation["input_ids"][:]

    def padding_share(self) -> float:
        """Share of the LSTM's steps that fall on padding, over one epoch of training."""
        data: Any = self.train_dataset
        return padding_share(
            data.member_lengths if isinstance(data, SentenceGroups) else self._lengths.item,
            list(self._sampler()),
            batch_size=self.args.per_device_train_batch_size,
            computed_tokens=self.accelerator.unwrap_model(self.model).computed_tokens,
        )

    def _report_to_hp_search(self, trial: Any, step: int, metrics: dict[str, float]) -> None:
        # By the epoch: at the same step, trainings with other batch sizes have read less or more.
        super()._report_to_hp_search(trial, round(self.state.epoch or 0), metrics)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._recipe.tokens.fixed_length:
            return super()._get_train_sampler(train_dataset)
        return self._sampler()

    def _sampler(self) -> LengthBucketSampler:
        return LengthBucketSampler(
            self._lengths, batch_size=self._recipe.training.batch_size, seed=self.args.seed
        )


class _LabelSmoother(LabelSmoother):
    """That of `transformers`, for class ids and for probabilities."""

    def __call__(self, model_output: Any, labels: Any, *arguments: Any, **named: Any) -> Any:
        if labels.ndim == 1:
            return super().__call__(model_output, labels, *arguments, **named)
        return functional.cross_entropy(
            model_output["logits"], labels, label_smoothing=self.epsilon
        )


class _EpochReporter(TrainerCallback):
    """Hand each epoch's record over as soon as it is whole."""

    def __init__(self, on_epoch: Callable[[EpochRecord], None] | None, *, validates: bool) -> None:
        self.on_epoch = on_epoch
        self.validates = validates
        self.trainer: SentimentTrainer | None = None

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        if self.trainer is not None:
            self.trainer.start_clock()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        last = "eval_loss" if self.validates else "loss"
        if self.on_epoch and state.is_world_process_zero and last in (logs or {}):
            self.on_epoch(read_history(state.log_history)[-1])


class QuietProgress(ProgressCallback):
    """The progress bars of `Trainer` without its dump of every log."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass


def _accuracy(prediction: Any) -> dict[str, float]:
    predicted = np.asarray(prediction.predictions).argmax(axis=1)
    labels = np.asarray(prediction.label_ids)
    truth = labels.argmax(axis=1) if labels.ndim == 2 else labels
    return {"accuracy": float((predicted == truth).mean())}
