"""What embedding and LSTM learn from texts without labels, before they are trained on any."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from sentiment_lstm import ranks, runs
from sentiment_lstm.batches import (
    LengthBucketSampler,
    RaggedIds,
    collate_ragged,
    on_disk,
    segment_bounds,
)
from sentiment_lstm.files import write_file
from sentiment_lstm.foretelling import Foretelling
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.recipes.settings import PretrainingSettings

__all__ = ["PRETRAINED", "pretrain"]

logger = logging.getLogger(__name__)

PRETRAINED = "pretrained.safetensors"

_TEXTS_AT_ONCE = 20_000
_SHORTEST_SEGMENT = 4  # tokens; a shorter one has next to nothing to foretell
_WARMUP_SHARE = 0.05
_SAVES = 20  # checkpoints in one pretraining
_MAX_GRADIENT_NORM = 1.0


def pretrain(
    model: SentimentModel,
    tokenized: Sequence[datasets.Dataset],
    settings: PretrainingSettings,
    *,
    work: Path,
    seed: int,
    max_steps: int | None = None,
    progress: bool = False,
) -> float:
    """Pre-train a model's embedding and LSTM on texts; killed and called again, it goes on.

    Args:
        model: changed in place.
        tokenized: from `tokenize_reviews`; their labels are not looked at.
        settings: the recipe's, with an objective other than `none`.
        work: a folder for the checkpoints and, at the end, the weights.
        seed: of the order and of the negatives.
        max_steps: stop after so many batches, whatever the epochs are.
        progress: draw a progress bar.

    Returns:
        The loss of the last part of the texts, in nats a word foretold; NaN if the weights were
        there already, or no text is long enough.
    """
    done = work / PRETRAINED
    if done.is_file():
        model.load_state_dict(load_file(done), strict=False)
        return float("nan")
    segments = _SegmentRows(
        tokenized, segment_length=model.config.segment_length or int(model.config.fixed_length or 0)
    )
    if len(segments) == 0:
        logger.warning("No text is long enough to foretell a word in; there is no pre-training.")
        return float("nan")
    counts = segments.counts(model.config.vocab_size)
    learner = Foretelling(model, counts, settings)
    steps = max_steps or -(-len(segments) // settings.batch_size) * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=ranks.share_of_batch(
            settings.batch_size, "pretraining.batch_size"
        ),
        num_train_epochs=settings.epochs,
        max_steps=max_steps or -1,
        lr_scheduler_type="cosine",
        warmup_steps=_WARMUP_SHARE,
        max_grad_norm=_MAX_GRADIENT_NORM,
        save_strategy="steps",
        save_steps=max(steps // _SAVES, 1),
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=max(steps // _SAVES, 1),
        report_to="none",
        seed=seed,
        disable_tqdm=not progress,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        label_names=[],
        **ranks.trainer_arguments(),
    )
    trainer = _PretrainingTrainer(
        batch_size=settings.batch_size,
        model=learner,
        args=arguments,
        train_dataset=segments,  # type: ignore[arg-type]
        data_collator=partial(collate_ragged, pad_token_id=model.config.pad_token_id or 0),
        callbacks=[_LogLosses()],
        optimizers=(_optimizer(learner, settings), None),
    )
    trainer.remove_callback(PrinterCallback)
    if not progress:
        trainer.remove_callback(ProgressCallback)
    checkpoint = ranks.from_first(lambda: runs.newest_checkpoint(work) if work.is_dir() else None)
    ranks.vary_seed(seed)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    model.cpu()
    ranks.from_first(lambda: _keep(model, done))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return losses[-1] if losses else float("nan")


def _optimizer(learner: Foretelling, settings: PretrainingSettings) -> torch.optim.Optimizer:
    """Make AdamW with a learning rate of their own for the words' vectors."""
    tables = [learner.embedding.weight, learner.targets.weight]
    rest = [
        parameter
        for parameter in learner.parameters()
        if all(parameter is not table for table in tables)
    ]
    rate = settings.embedding_learning_rate or settings.learning_rate
    groups = [{"params": rest}, {"params": tables, "lr": rate}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=0.0, fused=True)


def _keep(model: SentimentModel, path: Path) -> None:
    """Write what was pre-trained, whole or not at all, and throw the checkpoints away."""
    kept = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(("embedding.", "encoder."))
    }
    write_file(path, save(kept))
    for folder in path.parent.glob("checkpoint-*"):
        shutil.rmtree(folder, ignore_errors=True)


class _SegmentRows(torch.utils.data.Dataset):
    """The texts cut into segments as the model cuts them, read from the memory-mapped tokens."""

    def __init__(self, tokenized: Sequence[datasets.Dataset], *, segment_length: int) -> None:
        self._ids = [RaggedIds(part) for part in tokenized]
        # A row a segment: the part, the text in it, the first token and the one behind the last.
        # On disk, because a long corpus has many more segments than texts.
        self._bounds = on_disk(self._cut(segment_length or int(1e9)))
        self.lengths = on_disk(
            rows[:, 3] - rows[:, 2]
            for at in range(0, max(len(self._bounds), 1), _TEXTS_AT_ONCE)
            for rows in [self._bounds[at : at + _TEXTS_AT_ONCE]]
        )

    def _cut(self, segment_length: int) -> Iterator[NDArray[np.int32]]:
        for place, ids in enumerate(self._ids):
            for first in range(0, len(ids), _TEXTS_AT_ONCE):
                lengths = ids.lengths[first : first + _TEXTS_AT_ONCE]
                text, start, end = segment_bounds(lengths, segment_length)
                rows = np.stack([np.full_like(text, place), first + text, start, end], axis=1)
                yield rows[end - start >= _SHORTEST_SEGMENT].astype(np.int32)

    def __len__(self) -> int:
        return len(self._bounds)

    def __getitem__(self, row: int) -> dict[str, NDArray[np.int32]]:
        place, text, start, end = self._bounds[row]
        return {"input_ids": self._ids[place][text][start:end]}

    def counts(self, vocab_size: int) -> NDArray[np.int64]:
        """Count the word pieces of all texts: (V,) int64."""
        return sum((ids.counts(vocab_size) for ids in self._ids), np.zeros(vocab_size, np.int64))


class _PretrainingTrainer(ranks.RankTrainer):
    def __init__(self, *, batch_size: int, **rest: Any) -> None:  # noqa: ANN401
        self._batch_size = batch_size  # of all processes
        super().__init__(**rest)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:  # noqa: ANN401
        rows: Any = self.train_dataset
        return LengthBucketSampler(rows.lengths, batch_size=self._batch_size, seed=self.args.seed)


class _LogLosses(TrainerCallback):
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401
        if logs and "loss" in logs:
            share = 100 * state.epoch / args.num_train_epochs
            logger.info("Pre-training: %.0f %% done, loss %.4f", share, logs["loss"])
