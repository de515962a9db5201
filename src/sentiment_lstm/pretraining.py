"""What the embedding and the LSTM learn from texts without labels, before they are trained on any.

Shapes: R segments of a batch, W tokens of a segment, E embedding, H hidden, V word pieces, K
negatives.
"""

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
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
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
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.model.segment_lstm import pad_to_common_shape, reverse_within_length
from sentiment_lstm.recipes import PretrainingSettings

__all__ = ["PRETRAINED", "Pretraining", "pretrain"]

logger = logging.getLogger(__name__)

PRETRAINED = "pretrained.safetensors"

_TEXTS_AT_ONCE = 20_000
_SHORTEST_SEGMENT = 4  # tokens; a shorter one has next to nothing to foretell
_WARMUP_SHARE = 0.05
_EMBEDDING_DROPOUT = 0.1
_SAVES = 20  # checkpoints in one pretraining
# Words more frequent than this are targets less often: the share at which word2vec begins to leave
# words out, and by the same square root.
_FREQUENT = 1e-3
_NEGATIVES_POWER = 0.75
_MAX_GRADIENT_NORM = 1.0


class Pretraining(nn.Module):
    """Foretell words from the states of both directions, each told from words drawn at random.

    `language_model` foretells the next word piece (Dai & Le 2015, arXiv 1511.01432); `region` all
    of the next few, whatever their order, with frequent words counting less (the two-view training
    of Johnson & Zhang 2016, arXiv 1602.02373, with a sampled softmax, Jean et al. 2015, in place of
    their squared loss). Going backward, the next ones are those before.

    Args:
        model: its embedding and encoder are trained in place; the rest is left alone.
        counts: (V,) how often each word piece occurs in the texts.
        settings: the recipe's.
    """

    drawn: Tensor
    weight: Tensor

    def __init__(
        self, model: SentimentModel, counts: NDArray[np.int64], settings: PretrainingSettings
    ) -> None:
        super().__init__()
        self.embedding = model.embedding
        self.encoder = model.encoder
        embedding_size, hidden_size = model.config.embedding_size, model.config.hidden_size
        directions = 2 if model.config.bidirectional else 1
        self.heads = nn.ModuleList(
            nn.Linear(hidden_size, embedding_size) for _ in range(directions)
        )
        # Words foretold have vectors of their own, which start near those of the words read.
        self.targets = nn.Embedding.from_pretrained(
            model.embedding.weight.detach().clone() / embedding_size**0.25, freeze=False
        )
        share = torch.from_numpy(np.maximum(counts, 1e-3) / counts.sum()).float()
        self.bias = nn.Parameter(share.log())
        self.distance = settings.distance_tokens if settings.objective == "region" else 1
        self.negatives = min(settings.negatives, int((counts > 0).sum()))
        drawn = torch.from_numpy(counts / counts.sum()).float() ** _NEGATIVES_POWER
        self.register_buffer("drawn", drawn / drawn.sum(), persistent=False)
        weight = torch.ones_like(share)
        if settings.objective == "region":
            weight = (_FREQUENT / share).sqrt().clamp(max=1.0)
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Give the mean loss, in nats a word foretold.

        Args:
            input_ids: (R, W) int64, segments of texts.
            attention_mask: (R, W), 1 at tokens.
        """
        input_ids, mask = pad_to_common_shape(input_ids, attention_mask.bool())
        embedded = functional.dropout(
            self.embedding(input_ids), _EMBEDDING_DROPOUT, training=self.training
        )
        states = self.encoder.directions(embedded, mask)
        orders = (input_ids, input_ids.gather(1, reverse_within_length(mask)))
        negatives = torch.multinomial(self.drawn, self.negatives)  # (K,), none twice
        total = weights = input_ids.new_zeros((), dtype=torch.float32)
        for direction, head in enumerate(self.heads):
            read = states[direction]
            assert read is not None  # there are as many heads as directions
            loss, weight = self._direction_loss(read, orders[direction], mask, head, negatives)
            total, weights = total + loss, weights + weight
        return {"loss": total / weights.clamp(min=1e-6)}

    def _direction_loss(
        self, states: Tensor, ids: Tensor, mask: Tensor, head: nn.Module, negatives: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sum the weighted losses of one direction, and its weights.

        Each word is told from the negatives, not from the other words of its own region. The
        logarithm of how often a word is drawn is taken off its score, so that in the mean the loss
        is that of the whole vocabulary.
        """
        low = self.encoder.low_precision and self.training
        with torch.autocast(states.device.type, dtype=torch.bfloat16, enabled=low):
            foretold = head(states)  # (R, W, E)
            scores = foretold @ self.targets(negatives).T  # (R, W, K)
        foretold = foretold.float()
        offset = self.bias - (self.drawn * self.negatives).clamp(min=1e-12).log()  # (V,)
        of_negatives = torch.logsumexp(scores.float() + offset[negatives], dim=2)  # (R, W)
        is_negative = torch.zeros_like(offset, dtype=torch.bool).index_fill_(0, negatives, True)
        vectors = self.targets(ids)  # (R, W, E)
        total = weights = offset.new_zeros(())
        for ahead in range(1, self.distance + 1):
            target = ids[:, ahead:]
            score = (foretold[:, :-ahead] * vectors[:, ahead:]).sum(2) + offset[target]
            rest = of_negatives[:, :-ahead]
            # A target that was drawn as a negative is in the sum already.
            every = torch.where(is_negative[target], rest, torch.logaddexp(rest, score))
            weight = self.weight[target] * mask[:, ahead:]
            total = total + ((every - score) * weight).sum()
            weights = weights + weight.sum()
        return total, weights


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
    learner = Pretraining(model, counts, settings)
    steps = max_steps or -(-len(segments) // settings.batch_size) * settings.epochs
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=ranks.share_of_batch(
            settings.batch_size, "pretraining.batch_size"
        ),
        num_train_epochs=settings.epochs,
        max_steps=max_steps or -1,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=_WARMUP_SHARE,
        max_grad_norm=_MAX_GRADIENT_NORM,
        optim="adamw_torch_fused",
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


def _keep(model: SentimentModel, path: Path) -> None:
    """Write what was pre-trained, whole or not at all, and throw the checkpoints away."""
    kept = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if name.startswith(("embedding.", "encoder."))
    }
    aside = path.with_name(f"{path.name}.new")
    save_file(kept, aside)
    aside.replace(path)
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
