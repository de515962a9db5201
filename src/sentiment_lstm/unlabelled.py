"""The texts without labels that a recipe learns from: named by a user, or a split of the source."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import datasets
import numpy as np

from sentiment_lstm.data import dataset_texts, stand_in, store_texts
from sentiment_lstm.data.rows import UNSUPERVISED
from sentiment_lstm.errors import DataError
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.text import is_blank

__all__ = ["asks_for_texts", "texts_to_learn_from", "texts_to_pretrain_on", "unlabelled_texts"]

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


def texts_to_pretrain_on(
    recipe: Recipe, train: datasets.Dataset, unlabelled: datasets.Dataset | None
) -> list[datasets.Dataset]:
    """Give what a recipe's pre-training reads: the training reviews, and unlabelled texts if any.

    Args:
        recipe: of the training.
        train: the training split.
        unlabelled: from `texts_to_learn_from`.
    """
    if unlabelled is None or not recipe.pretraining.unlabelled:
        return [train]
    return [train, unlabelled]


def unlabelled_texts(texts: datasets.Dataset, features: datasets.Features) -> datasets.Dataset:
    """Give unlabelled texts the columns of the labelled ones, and leave empty ones out.

    Args:
        texts: a column `text`.
        features: of the labelled reviews.

    Returns:
        Columns `text` and `label`, -1 throughout.

    Raises:
        DataError: there is no column `text`, or no text in it.
    """
    if "text" not in texts.column_names:
        raise DataError(
            f"The unlabelled reviews have no column 'text', only {', '.join(texts.column_names)}. "
            "Rename the one that holds the texts."
        )
    kept = store_texts(
        (
            [text for text in batch if not is_blank(text)]
            for batch in dataset_texts("The unlabelled reviews", texts, text_column="text")
        ),
        datasets.Features({name: features[name] for name in ("text", "label")}),
    )
    if not len(kept):
        raise DataError("The unlabelled reviews hold no text. Name another source of them.")
    if len(kept) < len(texts):
        logger.warning("%d unlabelled texts are empty and left out.", len(texts) - len(kept))
    return kept


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
