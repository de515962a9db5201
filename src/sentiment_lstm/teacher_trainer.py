"""`transformers.Trainer` as a teacher needs it: random windows in, whole reviews to validate."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from sentiment_lstm import ranks, runs
from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.precision import fast_bfloat16, in_fast_precision
from sentiment_lstm.random_windows import RandomWindows, WindowRows
from sentiment_lstm.trainer import QuietProgress
from sentiment_lstm.windows import Frame, collate_windows, score_texts

__all__ = [
    "TeacherEpoch",
    "TeacherTrainer",
    "make_teacher_trainer",
    "read_teacher_history",
]

_LOGGING_STEPS = 50


@dataclass(frozen=True, kw_only=True)
class TeacherEpoch:
    """What one epoch gave; the accuracy is a share from 0 to 1."""

    epoch: int
    train_loss: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None


def make_teacher_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    frame: Frame,
    *,
    texts: Sequence[str],
    targets: Sequence[int] | NDArray[np.float32],
    validation: datasets.Dataset | None,
    settings: FinetuningSettings,
    work: Path,
    seed: int,
    checkpoint_steps: int,
    on_epoch: Callable[[TeacherEpoch], None] | None,
    progress: bool,
    started: float,
) -> TeacherTrainer:
    """Set the fine-tuning of an encoder up.

    Args:
        model: with a head for the labels.
        tokenizer: its own.
        frame: of its windows.
        texts: N training texts.
        targets: their class ids (N,), or the probability of every class (N, C).
        validation: columns `text` and `label`; None trains without one.
        settings: all but the share of the validation split are used.
        work: where checkpoints and the clock's reading go.
        seed: of the windows, the order and the dropout.
        checkpoint_steps: batches from one checkpoint to the next.
        on_epoch: called with the record of each epoch, once its checkpoint is written.
        progress: draw a progress bar where standard error is a terminal.
        started: when the work began, by `time.perf_counter`.
    """
    has_gpu = torch.cuda.is_available()
    shared = ranks.trainer_arguments()
    if shared:
        # An encoder may have weights that no score depends on, the same ones in every step.
        shared["ddp_static_graph"] = True
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=ranks.share_of_batch(settings.batch_size, "The batch size"),
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_share,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_gradient_norm,
        bf16=fast_bfloat16(),
        eval_strategy="no" if validation is None else "epoch",
        save_strategy="steps",
        save_steps=checkpoint_steps,
        save_total_limit=1,
        logging_strategy="steps",
        # Also before each checkpoint, so that a resumed training knows the loss of all its batches.
        logging_steps=math.gcd(_LOGGING_STEPS, checkpoint_steps),
        report_to="none",
        seed=seed,
        disable_tqdm=not progress,
        remove_unused_columns=False,
        dataloader_pin_memory=has_gpu,
        **{"use_cpu": not has_gpu, **shared},
    )
    data = WindowRows(tokenizer, texts, targets, frame)
    trainer = TeacherTrainer(
        windows=RandomWindows(
            data.lengths(),
            room_tokens=frame.room_tokens,
            batch_size=settings.batch_size,
            seed=seed,
        ),
        frame=frame,
        tokenizer=tokenizer,
        model=model,
        args=arguments,
        train_dataset=data,
        eval_dataset=validation,
        data_collator=partial(collate_windows, frame=frame),
        callbacks=[_Reporter(work, on_epoch, started=started)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if progress and sys.stderr.isatty():
        trainer.add_callback(QuietProgress())
    return trainer


def read_teacher_history(trainer: Trainer) -> list[TeacherEpoch]:
    """Join what `Trainer` logged of each epoch; its loss is the mean over the batches."""
    return _history(trainer.state, _steps_per_epoch(trainer.args, trainer.state))


class TeacherTrainer(ranks.RankTrainer):
    """`Trainer` over random windows, validated as a teacher reads: whole reviews."""

    def __init__(
        self,
        *,
        windows: RandomWindows,
        frame: Frame,
        tokenizer: PreTrainedTokenizerFast,
        **rest: Any,
    ) -> None:
        self._windows = windows
        self._frame = frame
        self._tokenizer = tokenizer
        super().__init__(**rest)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        del num_items_in_batch
        # The models of `transformers` take probabilities for several labels of one text.
        labels = inputs["labels"]
        outputs = model(**{name: value for name, value in inputs.items() if name != "labels"})
        loss = nn.functional.cross_entropy(outputs.logits.float(), labels)
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        validation: Any = self.eval_dataset
        model = self.accelerator.unwrap_model(self.model)
        logits = ranks.from_first(
            lambda: score_texts(
                in_fast_precision(model), self._tokenizer, list(validation["text"]), self._frame
            )
        )
        if not np.isfinite(logits).all():
            raise RecipeError(
                f"The training diverged: after epoch {self.state.epoch or 0:.0f} the encoder gives "
                "scores that are not numbers. Begin anew by --restart with a lower "
                "--learning-rate."
            )
        labels = torch.tensor(list(validation["label"]))
        metrics = {
            "eval_loss": float(nn.functional.cross_entropy(torch.from_numpy(logits), labels)),
            "eval_accuracy": float((logits.argmax(1) == labels.numpy()).mean()),
        }
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self._windows


class _Reporter(TrainerCallback):
    """Save at the end of each epoch, keep the clock, and hand each epoch's record over."""

    def __init__(
        self, work: Path, on_epoch: Callable[[TeacherEpoch], None] | None, *, started: float
    ) -> None:
        self._work = work
        self._on_epoch = on_epoch
        self._clock = started
        self._ends_epoch = False

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._ends_epoch = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # Saved once only, and with the validation in it: a checkpoint that is written a second
        # time would be taken for whole when a kill leaves half of it.
        if state.global_step % _steps_per_epoch(args, state) == 0:
            control.should_save = False

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._ends_epoch = True
        control.should_log = True
        control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not state.is_world_process_zero:
            return
        now = time.perf_counter()
        runs.add_seconds(self._work, now - self._clock)
        self._clock = now
        if self._on_epoch and self._ends_epoch:
            self._on_epoch(_history(state, _steps_per_epoch(args, state))[-1])


def _steps_per_epoch(args: Any, state: Any) -> int:
    return state.max_steps // int(args.num_train_epochs)


def _history(state: Any, steps_per_epoch: int) -> list[TeacherEpoch]:
    """Join what `Trainer` logged of each epoch; its loss is the mean over the batches."""
    losses: dict[int, list[tuple[float, int]]] = {}
    validation: dict[int, dict[str, float]] = {}
    last = 0
    for entry in state.log_history:
        epoch = -(-entry["step"] // steps_per_epoch)
        if "loss" in entry:
            losses.setdefault(epoch, []).append((entry["loss"], entry["step"] - last))
            last = entry["step"]
        elif "eval_loss" in entry:
            validation[epoch] = entry
    return [
        TeacherEpoch(
            epoch=epoch,
            train_loss=sum(loss * steps for loss, steps in parts) / sum(n for _, n in parts),
            validation_loss=validation.get(epoch, {}).get("eval_loss"),
            validation_accuracy=validation.get(epoch, {}).get("eval_accuracy"),
        )
        for epoch, parts in sorted(losses.items())
    ]
