"""A pre-trained encoder and reviews in, a teacher for distillation out, on `transformers.Trainer`.

The teacher's folder has the hub's layout: config.json, model.safetensors, the tokenizer, and a
training.json of ours. An unfinished training keeps its checkpoints in ``NAME.training`` beside it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast, set_seed

from sentiment_lstm import artefact, ranks, runs
from sentiment_lstm.data import fingerprint, training_splits
from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.encoders import load_encoder
from sentiment_lstm.memory import freed_memory_kept
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.soft_labels import fingerprint_texts
from sentiment_lstm.teacher_trainer import (
    TeacherEpoch,
    make_teacher_trainer,
    read_teacher_history,
)
from sentiment_lstm.teachers import WINDOW_LIMIT_SETTING, WINDOW_SETTING, weights_identity
from sentiment_lstm.windows import frame_of

__all__ = [
    "FinetuningResult",
    "FinetuningSettings",
    "TeacherEpoch",
    "finetune_teacher",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FinetuningResult:
    """Where the teacher is, and how its training went."""

    output: Path
    history: list[TeacherEpoch]
    validation_accuracy: float | None
    seconds: float
    reviews: dict[str, int]  # a split
    window_tokens: int  # that it reads at once, special tokens included
    resumed: bool = False


def finetune_teacher(
    reviews: datasets.DatasetDict,
    encoder: str | Path,
    output: str | Path,
    *,
    settings: FinetuningSettings | None = None,
    source: str = "",
    seed: int = 0,
    resume: bool = False,
    restart: bool = False,
    checkpoint_steps: int = 200,
    unlabelled: Sequence[str] = (),
    soft_labels: NDArray[np.float32] | None = None,
    on_epoch: Callable[[TeacherEpoch], None] | None = None,
    progress: bool = False,
) -> FinetuningResult:
    """Turn a pre-trained encoder into a classifier that can teach, and save it.

    Each epoch reads one random window of each review. The weights of the last epoch are kept: the
    learning rate has come down to zero there, and nothing is chosen on the validation split.

    Args:
        reviews: split `train`; columns `text` and `label`. A split `validation` is used as it is;
            else a share of `train` is held out, no near-duplicate standing on both sides.
        encoder: `embedded`, a hub name, or a local folder of the hub's layout.
        output: the teacher's folder; a model that stands there is replaced by the new one.
        settings: of the training.
        source: what the reviews were loaded from, for the records.
        seed: of the new weights, the windows and the order; the split doesn't depend on it.
        resume: go on with the unfinished training of this output.
        restart: throw an unfinished training of this output away.
        checkpoint_steps: batches from one checkpoint to the next.
        unlabelled: M texts that are learnt from beside the labelled ones.
        soft_labels: what other teachers say of them, (M, C) probabilities; needed where there are
            such texts.
        on_epoch: called with the record of each epoch.
        progress: draw a progress bar on standard error, where that is a terminal.

    Raises:
        DataError: the reviews cannot be trained on.
        ModelError: the encoder cannot be loaded.
        RecipeError: the settings differ from the resumed run's, or the training diverged.
        SaveError: the output cannot be written, or an unfinished training stands beside it.
    """
    ranks.join()
    output, settings = Path(output), settings or FinetuningSettings()
    ranks.from_first(lambda: artefact.check_replaceable(output))
    started = time.perf_counter()
    with (
        quiet_libraries(),
        freed_memory_kept(),
        ranks.losses_told(lambda: runs.how_to_go_on(output)),
    ):
        train, validation, _ = ranks.from_first(
            lambda: training_splits(reviews, validation_size=settings.validation_size)
        )
        label_names = reviews["train"].features["label"].names
        set_seed(seed)
        # Adam's moments of words not seen for long decay into denormal numbers, on which a CPU
        # computes a hundred times slower.
        torch.set_flush_denormal(True)
        model, tokenizer = load_encoder(encoder, label_names, settings)
        frame = frame_of(
            model,
            tokenizer,
            max_length_tokens=settings.max_length_tokens,
            window_limit=settings.window_limit,
        )
        setattr(model.config, WINDOW_SETTING, frame.max_length_tokens)
        setattr(model.config, WINDOW_LIMIT_SETTING, frame.window_limit)
        # For other programs, which truncate there.
        tokenizer.model_max_length = frame.max_length_tokens
        base: Any = model.base_model
        run = {
            "encoder": {"name": str(encoder), "identity": weights_identity(base)},
            "finetuning": asdict(settings),
            "seed": seed,
            "processes": ranks.size(),
            "data": {
                "source": source,
                "train": fingerprint(train),
                "validation": None if validation is None else fingerprint(validation),
                "unlabelled": _hash(unlabelled, soft_labels),
            },
            "versions": runs.versions(),
        }
        work, checkpoint = ranks.from_first(
            lambda: runs.open_with_checkpoint(output, run, resume=resume, restart=restart)
        )
        trainer = make_teacher_trainer(
            model,
            tokenizer,
            frame,
            texts=[*train["text"], *unlabelled],
            targets=_targets(train, soft_labels),
            validation=validation,
            settings=settings,
            work=work,
            seed=seed,
            checkpoint_steps=checkpoint_steps,
            on_epoch=on_epoch,
            progress=progress,
            started=started,
        )
        ranks.vary_seed(seed)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        model.cpu().eval()
        history = read_teacher_history(trainer)
        result = FinetuningResult(
            output=output,
            history=history,
            validation_accuracy=history[-1].validation_accuracy,
            seconds=ranks.from_first(lambda: runs.add_seconds(work, 0.0)),
            reviews={
                "train": len(train),
                "validation": 0 if validation is None else len(validation),
            },
            window_tokens=frame.max_length_tokens,
            resumed=checkpoint is not None,
        )
        ranks.from_first(lambda: _save(result, model, tokenizer, run))
    if ranks.is_first():
        shutil.rmtree(work, ignore_errors=True)
    ranks.wait()
    return result


def _targets(
    train: datasets.Dataset, soft_labels: NDArray[np.float32] | None
) -> list[int] | NDArray[np.float32]:
    """Give the classes of labelled texts, and behind them what is said of unlabelled ones."""
    if soft_labels is None:
        return list(train["label"])
    classes = np.eye(soft_labels.shape[1], dtype=np.float32)
    return np.concatenate([classes[np.asarray(train["label"])], soft_labels])


def _hash(texts: Sequence[str], soft_labels: NDArray[np.float32] | None) -> str | None:
    if soft_labels is None:
        return None
    said = fingerprint_texts(texts).encode() + soft_labels.tobytes()
    return hashlib.sha256(said).hexdigest()[:16]


def _save(
    result: FinetuningResult,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    run: dict[str, Any],
) -> None:
    training = {
        **run,
        "history": [asdict(record) for record in result.history],
        "validation_accuracy": result.validation_accuracy,
        "seconds": round(result.seconds, 1),
        "reviews": result.reviews,
        "window_tokens": result.window_tokens,
    }

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        artefact.write_json(folder / artefact.TRAINING, training)

    artefact.replace_folder(result.output, write)
