"""Before a training that learns from more than labels: its teachers are made.

A recipe may name teachers that are not there yet, and are made from the training split alone::

    finetune:ENCODER      a pre-trained encoder (`embedded`, a hub name, a folder), fine-tuned
    finetune-256:ENCODER  the same on windows of 256 word pieces, whatever the recipe sets for all
    distil:ENCODER        such an encoder, fine-tuned to the labels and to what the teachers that
                          stand before it say of unlabelled text (after Blum & Mitchell 1998)
    self                  this recipe with the teachers that stand before it; what that model says
                          of unlabelled text is learnt in a second round (self-training, Scudder
                          1965)

An encoder that is named again with the same window is fine-tuned with the next seed, so that the
two make an ensemble.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets

from sentiment_lstm import artefact, ranks, runs
from sentiment_lstm.data.rows import TRAIN, UNSUPERVISED
from sentiment_lstm.encoder_settings import FinetuningSettings
from sentiment_lstm.encoders import load_encoder
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.finetuning import finetune_teacher
from sentiment_lstm.lessons import ask_teacher
from sentiment_lstm.recipes import Recipe, override, to_toml
from sentiment_lstm.runs import Stages
from sentiment_lstm.teacher_specs import DISTIL, SELF, TeacherSpec, read_spec
from sentiment_lstm.teachers import Teacher, load_teacher, load_teachers

__all__ = ["check_teachers", "meet_teachers"]

logger = logging.getLogger(__name__)


def check_teachers(recipe: Recipe, train_split: datasets.Dataset) -> None:
    """Load every teacher and every encoder once, so that a wrong one costs no hours before it.

    Args:
        recipe: of the training.
        train_split: columns `text` and `label`.

    Raises:
        ModelError: a weight is no number above 0, a teacher or an encoder cannot be loaded, or a
            teacher has other labels.
        RecipeError: an encoder cannot be fine-tuned on such a window.
    """
    names = train_split.features["label"].names
    specs = [(spec, read_spec(spec)) for spec in recipe.distillation.teachers]
    for written, spec in specs:
        if not spec.kind:
            load_teacher(spec.name, label_names=names, train=train_split)
        elif spec.kind != SELF:
            try:
                settings = _finetuning_settings(recipe, spec)
            except RecipeError as error:
                raise RecipeError(f"{written}: {error}") from error
            load_encoder(spec.name, names, settings)


def meet_teachers(
    recipe: Recipe,
    splits: datasets.DatasetDict,
    *,
    stages: Stages,
    seed: int,
    train_self: Callable[..., Any],
) -> tuple[Teacher, Path | None]:
    """Make the teachers that a recipe only describes, each once, and load them all.

    Args:
        recipe: of the training.
        splits: `train`, which the teachers see, `validation`, which none sees, and `unsupervised`,
            from `texts_to_learn_from`; the last two where there are such.
        stages: of the training; a teacher has a stage of its own, and goes on after a kill.
        seed: of the training, and of the first teacher of each kind and encoder.
        train_self: `sentiment_lstm.training.train`.

    Returns:
        The teachers as one; and, where the recipe says `distillation.after_labels`, the folder of
        the model that their student goes on from, which has learnt from the labels alone.
    """
    learnt = None
    if recipe.distillation.after_labels:
        with stages.timed("labels") as folder:
            learnt = folder / "model"
            learn = partial(_train_within, train_self, recipe, [], splits, learnt, stages=stages)
            _once(learnt, "The model of the labels", partial(learn, seed=seed))
    made: list[str] = []
    specs = [read_spec(written) for written in recipe.distillation.teachers]
    for place, spec in enumerate(specs, start=1):
        if not spec.kind:
            made.append(spec.name + spec.weight)
            continue
        if spec.kind == SELF and learnt is not None and not made:
            # By the same recipe, and no other stands before it: the same model.
            made.append(f"{learnt}{spec.weight}")
            continue
        with stages.timed(f"teacher {place}") as folder:
            output = folder / "model"
            if spec.kind == SELF:
                make = partial(_train_within, train_self, seed=seed)
            else:
                namesakes = specs[: place - 1].count(spec)
                make = partial(_finetune_within, spec, seed=seed + namesakes)
            _once(
                output,
                f"Teacher {place}, {recipe.distillation.teachers[place - 1]},",
                partial(make, recipe, made, splits, output, stages=stages),
            )
        made.append(f"{output}{spec.weight}")
    label_names = splits[TRAIN].features["label"].names
    with stages.timed("fitting the teachers"):
        return load_teachers(made, label_names=label_names, train=splits[TRAIN]), learnt


def _once(output: Path, what: str, make: Callable[..., Any]) -> None:
    """Let `make(resume=...)` make a model, unless it is there; it goes on where it was begun."""
    # Asked of one process, before another has begun to make it.
    made_already, unfinished = ranks.from_first(partial(_how_far, output))
    if made_already:
        logger.info("%s has been made already.", what)
    else:
        make(resume=unfinished)


def _how_far(output: Path) -> tuple[bool, bool]:
    """Tell whether a model has been made, and whether it was begun."""
    made = (output / artefact.CONFIG).is_file()
    return made, runs.training_folder(output).is_dir()


def _train_within(
    train_self: Callable[..., Any],
    recipe: Recipe,
    teachers: list[str],
    splits: datasets.DatasetDict,
    output: Path,
    *,
    stages: Stages,
    seed: int,
    resume: bool,
) -> None:
    """Train by a recipe with other teachers, inside a stage of a training by it."""
    train_self(
        splits,
        override(recipe, [f"distillation.teachers={to_toml(teachers)}"]),
        output,
        soft_labels_folder=output.with_name("soft-labels"),
        seed=seed,
        resume=resume,
        evaluate_test=False,
        on_stage=lambda line: stages.on_stage(f"  {line}"),
    )


def _finetune_within(
    spec: TeacherSpec,
    recipe: Recipe,
    teachers: list[str],
    splits: datasets.DatasetDict,
    output: Path,
    *,
    stages: Stages,
    seed: int,
    resume: bool,
) -> None:
    """Fine-tune an encoder inside a stage, to what other teachers say as well if it asks for it."""
    labelled = datasets.DatasetDict({**splits})
    unlabelled = labelled.pop(UNSUPERVISED, None)
    taught: dict[str, Any] = {}
    if spec.kind == DISTIL and teachers and unlabelled is not None:
        taught = _opinions(
            teachers,
            splits[TRAIN],
            unlabelled,
            folder=output.with_name("unlabelled"),
            stages=stages,
        )
    finetune_teacher(
        labelled,
        spec.name,
        output,
        settings=_finetuning_settings(recipe, spec),
        seed=seed,
        resume=resume,
        **taught,
    )


def _finetuning_settings(recipe: Recipe, spec: TeacherSpec) -> FinetuningSettings:
    distillation = recipe.distillation
    window_tokens = spec.window_tokens
    return FinetuningSettings(
        epochs=distillation.teacher_epochs,
        learning_rate=distillation.teacher_learning_rate,
        max_length_tokens=(
            distillation.teacher_window_tokens if window_tokens is None else window_tokens
        ),
        window_limit=distillation.teacher_window_limit,
    )


def _opinions(
    specs: list[str],
    train_split: datasets.Dataset,
    unlabelled: datasets.Dataset,
    *,
    folder: Path,
    stages: Stages,
) -> dict[str, Any]:
    """Ask the teachers that stand there already about the unlabelled texts."""
    names = train_split.features["label"].names
    teacher = load_teachers(specs, label_names=names, train=train_split)
    soft_labels = ask_teacher(teacher, unlabelled, folder, on_progress=stages.progress)
    return {"unlabelled": list(unlabelled["text"]), "soft_labels": soft_labels}
