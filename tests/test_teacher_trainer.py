from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from transformers import AutoModelForSequenceClassification

from sentiment_lstm import runs
from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.teacher_trainer import (
    TeacherEpoch,
    TeacherTrainer,
    make_teacher_trainer,
    read_teacher_history,
)
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.windows import frame_of, score_texts
from tests.tiny_encoders import save_classifier

LABELS = [0, 1] * 10
TEXTS = [" ".join([("dull", "great")[label]] * (5 + 9 * row)) for row, label in enumerate(LABELS)]
VALIDATION = Dataset.from_dict(
    {"text": TEXTS[::3], "label": LABELS[::3]},
    features=Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("encoder"), ["bad", "good"])


def teacher_trainer(folder: Path, work: Path, **options: Any) -> TeacherTrainer:
    """Of 20 texts, in batches of four: five an epoch."""
    with quiet_libraries():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = load_tokenizer()
    settings = FinetuningSettings(
        epochs=2, batch_size=4, learning_rate=5e-3, max_length_tokens=32, window_limit=2
    )
    frame = frame_of(model, tokenizer, max_length_tokens=32, window_limit=settings.window_limit)
    return make_teacher_trainer(
        model,
        tokenizer,
        frame,
        **{
            "texts": TEXTS,
            "targets": LABELS,
            "validation": VALIDATION,
            "settings": settings,
            "work": work,
            "seed": 0,
            "checkpoint_steps": 2,
            "on_epoch": None,
            "progress": False,
            "started": time.perf_counter(),
            **options,
        },
    )


def test_it_trains_on_one_window_of_each_text_and_no_longer_than_fits(folder: Path, tmp_path: Path):
    batches = list(teacher_trainer(folder, tmp_path).get_train_dataloader())
    assert [len(batch["labels"]) for batch in batches] == [4] * 5
    assert sum(int(batch["labels"].sum()) for batch in batches) == sum(LABELS)
    assert max(batch["input_ids"].shape[1] for batch in batches) == 32


def test_a_sure_probability_is_learnt_as_its_class_and_a_doubtful_one_is_not(
    folder: Path, tmp_path: Path
):
    def loss(targets: Any) -> float:
        trainer = teacher_trainer(folder, tmp_path, targets=targets)
        batch = next(iter(trainer.get_train_dataloader()))
        return float(trainer.compute_loss(trainer.model.eval(), batch).detach())

    sure = np.eye(2, dtype=np.float32)[LABELS]
    assert loss(sure) == pytest.approx(loss(LABELS), rel=1e-6)
    # A mean of the losses of both classes, as far as each is likely.
    other = loss(1 - sure)
    assert loss(0.75 * sure + 0.25 * (1 - sure)) == pytest.approx(
        0.75 * loss(LABELS) + 0.25 * other, rel=1e-5
    )


def test_an_epochs_loss_is_the_mean_over_all_its_batches(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    losses: list[float] = []
    compute = TeacherTrainer.compute_loss

    def listen(*arguments: Any, **options: Any) -> torch.Tensor:
        loss = compute(*arguments, **options)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(TeacherTrainer, "compute_loss", listen)
    reported: list[TeacherEpoch] = []
    trainer = teacher_trainer(folder, tmp_path, on_epoch=reported.append)
    trainer.train()
    history = read_teacher_history(trainer)
    assert history == reported
    # Batches are logged by twos, so that the last of five is logged by itself.
    assert [epoch.train_loss for epoch in history] == pytest.approx(
        [np.mean(losses[:5]), np.mean(losses[5:])], rel=1e-5
    )


def test_it_is_validated_on_what_a_teacher_reads_of_whole_texts(folder: Path, tmp_path: Path):
    trainer = teacher_trainer(folder, tmp_path)
    trainer.train()
    model = trainer.accelerator.unwrap_model(trainer.model)
    frame = frame_of(model, load_tokenizer(), max_length_tokens=32, window_limit=2)
    logits = score_texts(model, load_tokenizer(), list(VALIDATION["text"]), frame)
    last = read_teacher_history(trainer)[-1]
    labels = np.array(VALIDATION["label"])
    assert last.validation_accuracy == (logits.argmax(1) == labels).mean()
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.tensor(labels))
    # bfloat16 where that is fast.
    assert last.validation_loss == pytest.approx(float(loss), abs=0.02)


def test_without_a_validation_split_an_epoch_has_a_loss_alone(folder: Path, tmp_path: Path):
    trainer = teacher_trainer(folder, tmp_path, validation=None)
    trainer.train()
    history = read_teacher_history(trainer)
    assert [epoch.epoch for epoch in history] == [1, 2]
    assert {epoch.validation_accuracy for epoch in history} == {None}


def test_the_checkpoint_of_an_epochs_end_holds_its_validation(folder: Path, tmp_path: Path):
    validated_at: dict[str, list[int]] = {}

    def look(_: TeacherEpoch) -> None:
        checkpoint = runs.newest_checkpoint(tmp_path)
        assert checkpoint is not None
        log = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
        validated_at[checkpoint.name] = [e["step"] for e in log if "eval_accuracy" in e]

    teacher_trainer(folder, tmp_path, on_epoch=look).train()
    assert validated_at == {"checkpoint-5": [5], "checkpoint-10": [5, 10]}
