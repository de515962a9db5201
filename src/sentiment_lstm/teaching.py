"""Before a training that learns from more than labels: its unlabelled texts, and its teachers.

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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from sentiment_lstm import artefact, ranks, runs
from sentiment_lstm.data import stand_in
from sentiment_lstm.data.rows import UNSUPERVISED
from sentiment_lstm.errors import DataError, RecipeError
from sentiment_lstm.finetuning import FinetuningSettings, finetune_teacher, load_encoder
from sentiment_lstm.lessons import ask_teacher, unlabelled_texts
from sentiment_lstm.recipes import Recipe, override, to_toml
from sentiment_lstm.runs import Stages
from sentiment_lstm.teacher_specs import DISTIL, SELF, TeacherSpec, read_spec
from sentiment_lstm.teachers import load_teacher, load_teachers

__all__ = [
    "asks_for_texts",
    "check_teachers",
    "learn_labels",
    "make_teachers",
    "texts_to_learn_from",
]

logger = logging.getLogger(__name__)


def asks_for_texts(recipe: Recipe) -> bool:
    """Tell whether a recipe learns from unlabelled texts, where there are such."""
    distillation, pretraining = recipe.distillation, recipe.pretraining
    return (pretraining.objective != "none" and pretraining.unlabelled) or (
        bool(distillation.teachers) and distillation.unlabelled
    )


def texts_to_learn_from(
    reviews: datasets.DatasetDict,
    unlabelled: datasets.Dataset | None,
    recipe: Recipe,
    *,
    held_out: Sequence[datasets.Dataset] = (),
) -> datasets.Dataset | None:
    """Give the unlabelled texts, for a recipe that learns from such.

    Args:
        reviews: its split `unsupervised` holds them, unless others are given.
        unlabelled: a column `text`, or None.
        recipe: of the training.
        held_out: what the training is measured on. Texts of it are left out of `unlabelled`, which
            may be the very file that they come from; a split of the source is taken as it stands.

    Returns:
        From `unlabelled_texts`; None where the recipe asks for none, or there is none. The log says
        so where such are given in vain, or missed.

    Raises:
        DataError: there is no column `text`, or no text in it that is not held out.
    """
    if not asks_for_texts(recipe):
        if unlabelled is not None:
            logger.warning(
                "The recipe %s learns nothing from unlabelled text, so --unlabelled is left "
                "unread. Let it by %s.",
                recipe.name,
                _how_to_ask(recipe),
            )
        return None
    texts = reviews.get(UNSUPERVISED) if unlabelled is None else unlabelled
    if texts is None:
        logger.warning(
            "The recipe %s learns from unlabelled text, and there is none: it makes do with the "
            "training reviews. Name some by --unlabelled.",
            recipe.name,
        )
        return None
    if unlabelled is not None and "text" in unlabelled.column_names:
        texts = _without(held_out, unlabelled)
    return unlabelled_texts(texts, reviews["train"].features)


def _without(held_out: Sequence[datasets.Dataset], texts: datasets.Dataset) -> datasets.Dataset:
    """Leave out the texts whose words are those of a held-out one."""
    is_known = stand_in(texts, held_out)
    number = int(is_known.sum())
    if not number:
        return texts
    if number == len(texts):
        raise DataError(
            f"All {number:,} unlabelled texts stand in the splits that are held out to validate "
            "and to test on. Name other texts by --unlabelled."
        )
    logger.warning(
        "%d of %d unlabelled texts are left out: they stand in the splits that are held out to "
        "validate and to test on.",
        number,
        len(texts),
    )
    return texts.select(np.flatnonzero(~is_known))


def _how_to_ask(recipe: Recipe) -> str:
    if recipe.distillation.teachers:
        return "--set distillation.unlabelled=true"
    pretrain = "--set pretraining.unlabelled=true"
    if recipe.pretraining.objective == "none":
        pretrain = f"--set pretraining.objective=region {pretrain}"
    return f"{pretrain}, or name a teacher of it by --teacher"


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


def learn_labels(
    recipe: Recipe,
    splits: datasets.DatasetDict,
    *,
    stages: Stages,
    seed: int,
    train_self: Callable[..., Any],
) -> Path:
    """Train by a recipe without its teachers: what `distillation.after_labels` goes on from.

    Args:
        recipe: of the training.
        splits: as in :func:`make_teachers`, like all others.
        stages: likewise.
        seed: likewise.
        train_self: likewise.

    Returns:
        The model's folder.
    """
    with stages.timed("labels") as folder:
        output = folder / "model"
        made_already, unfinished = ranks.from_first(partial(_how_far, output))
        if made_already:
            logger.info("The labels have been learnt already.")
        else:
            _train_within(
                train_self, recipe, [], splits, output, stages=stages, seed=seed, resume=unfinished
            )
    return output


def make_teachers(
    recipe: Recipe,
    splits: datasets.DatasetDict,
    *,
    stages: Stages,
    seed: int,
    train_self: Callable[..., Any],
    learnt: Path | None = None,
) -> list[str]:
    """Make the teachers that a recipe only describes, each once, and name it by its folder.

    Args:
        recipe: of the training.
        splits: `train`, which the teachers see, `validation`, which none sees, and `unsupervised`,
            from :func:`texts_to_learn_from`; the last two where there are such.
        stages: of the training; a teacher has a stage of its own, and goes on after a kill.
        seed: of the training, and of the first teacher of each kind and encoder.
        train_self: `sentiment_lstm.training.train`.
        learnt: from :func:`learn_labels`; a teacher `self` before which no other stands is the same
            model.

    Returns:
        The specs for `load_teachers`.
    """
    made: list[str] = []
    labelled = datasets.DatasetDict({**splits})
    unlabelled = labelled.pop(UNSUPERVISED, None)
    specs = [read_spec(written) for written in recipe.distillation.teachers]
    for place, spec in enumerate(specs, start=1):
        if not spec.kind:
            made.append(spec.name + spec.weight)
            continue
        if spec.kind == SELF and learnt is not None and not made:
            made.append(f"{learnt}{spec.weight}")
            continue
        with stages.timed(f"teacher {place}") as folder:
            output = folder / "model"
            # Asked of one process, before another has begun to make it.
            made_already, unfinished = ranks.from_first(partial(_how_far, output))
            if made_already:
                logger.info(
                    "Teacher %d, %s, has been made already.",
                    place,
                    recipe.distillation.teachers[place - 1],
                )
            elif spec.kind == SELF:
                _train_within(
                    train_self,
                    recipe,
                    made,
                    splits,
                    output,
                    stages=stages,
                    seed=seed,
                    resume=unfinished,
                )
            else:
                taught: dict[str, Any] = {}
                if spec.kind == DISTIL and made and unlabelled is not None:
                    taught = _opinions(
                        made,
                        splits["train"],
                        unlabelled,
                        folder=folder / "unlabelled",
                        stages=stages,
                    )
                finetune_teacher(
                    labelled,
                    spec.name,
                    output,
                    settings=_finetuning_settings(recipe, spec),
                    seed=seed + sum(spec.made_like(other) for other in specs[: place - 1]),
                    resume=unfinished,
                    **taught,
                )
        made.append(f"{output}{spec.weight}")
    return made


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


def _how_far(output: Path) -> tuple[bool, bool]:
    """Tell whether a teacher has been made, and whether it was begun."""
    made = (output / artefact.CONFIG).is_file()
    return made, runs.training_folder(output).is_dir()
