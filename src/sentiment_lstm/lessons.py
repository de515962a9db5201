"""What a model learns from: labelled reviews, sentences of them, and what teachers say of texts.

::

    labelled reviews      the label; with teachers, a mean of it and of what they say
    unlabelled reviews    whole or in passages: what the teachers say; left out without teachers
    labelled ones again   in passages: what the teachers say; left out unless a recipe asks for them
    sentences             of both, drawn at random; what the teachers say, else the review's label
    clauses               of both, as they stand: what the teachers say, else what their words do
    the same, denied      the opposite
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from sentiment_lstm import ranks
from sentiment_lstm.data import labelled_texts
from sentiment_lstm.negation import (
    Clauses,
    denying_turns_labels,
    draw_clauses,
    opposite,
    polar_words,
)
from sentiment_lstm.ordinal import ordinal_targets
from sentiment_lstm.passages import cut_into_passages
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.soft_labels import soft_labels
from sentiment_lstm.teachers import Teacher
from sentiment_lstm.text import sentences
from sentiment_lstm.tokens import tokenize_reviews

__all__ = [
    "Lessons",
    "ask_teacher",
    "draw_sentences",
    "first_and_last_sentences",
    "prepare_lessons",
    "tokenize_part",
]

logger = logging.getLogger(__name__)

# Shorter ones say nothing; longer ones are lists and run-on paragraphs.
_SENTENCE_WORDS = (3, 40)
# The same sentences whatever the seed of the training, so that soft labels serve all of them.
_SENTENCES_SEED = 0
_COLUMNS = ["text", "label"]
_SENTENCES, _CLAUSES, _DENIED = "sentences", "clauses", "denied"


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """The rows of a training: reviews first, whole or in passages, then sentences."""

    rows: datasets.Dataset  # `input_ids`, `length`, and `labels`: class ids or probabilities
    reviews: int  # how many of the rows are reviews, or passages of such
    labelled: int  # how many of these, the first ones, bear a label

    @property
    def targets(self) -> NDArray[np.generic]:
        """What is learnt of the reviews: (N,) class ids, or (N, C) probabilities."""
        return self.first_targets(self.reviews)

    def first_targets(self, number: int) -> NDArray[np.generic]:
        """What is learnt of the first reviews."""
        rows = self.rows.select_columns("labels").with_format("numpy")
        return np.asarray(rows[:number]["labels"])


def prepare_lessons(
    train: datasets.Dataset,
    unlabelled: datasets.Dataset | None,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    *,
    teacher: Teacher | None,
    folder: Path,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Lessons:
    """Tokenize all that is learnt from, and ask the teacher for its opinion of it.

    Args:
        train: columns `text` and `label`.
        unlabelled: from `unlabelled_texts`; used with a teacher only.
        recipe: its sections [tokens] and [distillation], `training.sentences` and
            `training.negations` are read.
        tokenizer: of the model.
        teacher: from `load_teachers`, or None.
        folder: where the soft labels are kept, a folder for each kind of text.
        on_progress: called with the kind of text, how many are done and how many there are.

    Raises:
        DataError: the folder holds the soft labels of other texts or another teacher.
    """
    parts = {"labelled": train}
    if teacher is None or not recipe.distillation.unlabelled:
        unlabelled = None
    if unlabelled is not None:
        parts["unlabelled"] = _in_passages(unlabelled, recipe, tokenizer)
    if teacher is not None and recipe.distillation.labelled_passages:
        parts["passages"] = _in_passages(train, recipe, tokenizer)
    reviews = sum(len(part) for part in parts.values())
    wanted = recipe.training.sentences
    if wanted:
        whole = [train] if unlabelled is None else [train, unlabelled]
        drawn = ranks.from_first(lambda: draw_sentences(whole, wanted, features=train.features))
        if len(drawn):
            parts[_SENTENCES] = drawn
    told = None  # of the clauses, by their words
    clauses = ranks.from_first(lambda: _clauses(train, unlabelled, recipe))
    if clauses is not None:
        parts |= {_CLAUSES: clauses.affirmed, _DENIED: clauses.denied}
        told = clauses.probabilities
    rows = []
    probabilities = None
    for name, part in parts.items():
        tokenized = tokenize_part(part, recipe, tokenizer)
        if name == _DENIED and probabilities is not None:
            # What a teacher knows of negation is what it has learnt of reviews, too.
            probabilities = opposite(probabilities)
        elif teacher is not None:
            share = recipe.distillation.teacher_share if name == "labelled" else 1.0
            targets = 0.0
            if share > 0:
                targets = share * ask_teacher(teacher, part, folder / name, on_progress=on_progress)
            if share < 1:
                targets = targets + (1 - share) * _truth(part, recipe)
            probabilities = np.asarray(targets, dtype=np.float32)
        elif told is not None:
            probabilities = told if name == _CLAUSES else _truth(part, recipe)
        if probabilities is not None:
            tokenized = _with_probabilities(tokenized, probabilities)
        rows.append(tokenized)
    every = datasets.concatenate_datasets(rows) if len(rows) > 1 else rows[0]
    return Lessons(rows=every, reviews=reviews, labelled=len(train))


def tokenize_part(
    part: datasets.Dataset, recipe: Recipe, tokenizer: PreTrainedTokenizerFast
) -> datasets.Dataset:
    """Tokenize texts as a recipe says, one process for all; as `tokenize_reviews` gives them."""
    limit = recipe.tokens.limit_tokens
    return ranks.from_first(lambda: tokenize_reviews(part, tokenizer, max_length_tokens=limit))


def _in_passages(
    texts: datasets.Dataset, recipe: Recipe, tokenizer: PreTrainedTokenizerFast
) -> datasets.Dataset:
    length_tokens = recipe.distillation.passage_tokens
    if not length_tokens:
        return texts
    return ranks.from_first(
        lambda: cut_into_passages(texts, tokenizer, length_tokens=length_tokens)
    )


def _clauses(
    train: datasets.Dataset, unlabelled: datasets.Dataset | None, recipe: Recipe
) -> Clauses | None:
    """Draw the clauses to be denied; None where there are none, or where that would be wrong."""
    if not recipe.training.negations:
        return None
    if train.features["label"].num_classes == 2:
        polar = polar_words(train)
        if denying_turns_labels(train, polar):
            wanted = recipe.training.negations
            clauses = draw_clauses(train, wanted, polar=polar, unlabelled=unlabelled)
            return clauses if len(clauses.affirmed) else None
    logger.info(
        "No denied clauses are learnt: that takes two labels, each the other's opposite, and in "
        "these texts a word that denies does not turn one into the other."
    )
    return None


def draw_sentences(
    parts: Sequence[datasets.Dataset], size: int, *, features: datasets.Features
) -> datasets.Dataset:
    """Draw sentences at random, each from a review of its own as far as there are enough.

    Args:
        parts: columns `text` and `label`.
        size: how many; fewer come back where the reviews hold fewer.
        features: of the result.

    Returns:
        Columns `text`, one sentence, and `label`, that of its review.
    """
    random = np.random.default_rng(_SENTENCES_SEED)
    # The same columns and classes, whatever else the parts hold.
    every = datasets.concatenate_datasets([part.select_columns(_COLUMNS) for part in parts])
    low, high = _SENTENCE_WORDS
    found: dict[str, int] = {}
    # Several rounds over the reviews where more sentences are wanted than there are reviews; a
    # text of one sentence gives it once. After a round without a new one only those are drawn from
    # that are left, so that the next such round is the end.
    only_left = False
    for _ in range(-(-size // max(len(every), 1)) + 1):
        before = len(found)
        # Read some at a time, and no more than are needed.
        for text, label in labelled_texts(every, random.permutation(len(every))):
            if len(found) >= size:
                break
            choice = sentences(text, min_words=low, max_words=high)
            if only_left:
                choice = [sentence for sentence in choice if sentence not in found]
            if choice:
                found.setdefault(choice[int(random.integers(len(choice)))], label)
        found_nothing = len(found) == before
        if len(found) >= size or (only_left and found_nothing):
            break
        only_left = only_left or found_nothing
    return datasets.Dataset.from_dict(
        {"text": list(found), "label": list(found.values())}, features=features
    )


def first_and_last_sentences(reviews: datasets.Dataset, size: int) -> datasets.Dataset:
    """Take the sentences with which reviews begin and end, where their writers say what they think.

    What stands between tells the story, and often only with what stands before it. A text that
    somebody sends by itself is more like the ends.

    Args:
        reviews: columns `text` and `label`.
        size: at most how many, of reviews drawn at random.

    Returns:
        Columns `text`, one sentence, and `label`, that of its review.
    """
    random = np.random.default_rng(_SENTENCES_SEED)
    low, high = _SENTENCE_WORDS
    found: dict[str, int] = {}
    for text, label in labelled_texts(reviews, random.permutation(len(reviews))):
        if len(found) >= size:
            break
        every = sentences(text, min_words=low, max_words=high)
        for sentence in every[:1] + every[-1:]:
            found.setdefault(sentence, label)
    return datasets.Dataset.from_dict(
        {"text": list(found)[:size], "label": list(found.values())[:size]},
        features=reviews.features,
    )


def ask_teacher(
    teacher: Teacher,
    part: datasets.Dataset,
    folder: Path,
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Ask a teacher for its opinion of texts, every process for its part of them.

    Args:
        teacher: from `load_teachers`.
        part: a column `text`, and the classes of `label`.
        folder: where the answers are kept; named after the kind of text.
        on_progress: called with that kind, how many are done and how many there are.

    Returns:
        (N, C) probabilities.

    Raises:
        DataError: the folder holds the soft labels of other texts or another teacher.
    """
    report = _counter(on_progress, folder.name, len(part))
    # Read where they lie on disk, a slice at a time.
    texts: Any = part.select_columns("text")["text"]
    ask = partial(
        soft_labels,
        teacher,
        texts,
        folder=folder,
        label_names=part.features["label"].names,
    )
    if ranks.size() > 1:
        # The folder is made, or refused, by one of them.
        ranks.from_first(lambda: ask(parts=slice(0)).shape)
        with ranks.together():
            ask(
                parts=slice(ranks.rank(), None, ranks.size()),
                # The others get on as fast as this one.
                on_progress=lambda count: report(count * ranks.size()),
            )
        return ask()
    return ask(on_progress=report)


def _truth(part: datasets.Dataset, recipe: Recipe) -> NDArray[np.float32]:
    """Give the labels as probabilities (N, C)."""
    num_labels = part.features["label"].num_classes
    classes = np.eye(num_labels, dtype=np.float32)
    if recipe.training.ordinal:
        classes = ordinal_targets(num_labels, slope=recipe.training.ordinal_slope)
    return classes[np.asarray(part["label"])]


def _counter(
    on_progress: Callable[[str, int, int], None] | None, name: str, total: int
) -> Callable[[int], None]:
    """Turn counts of what was done just now into counts of all that is done."""
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        if on_progress is not None:
            on_progress(name, min(done, total), total)

    return report


def _with_probabilities(
    tokenized: datasets.Dataset, probabilities: NDArray[np.float32]
) -> datasets.Dataset:
    # Laid out here: `datasets` would make an object of every row first.
    number, classes = probabilities.shape
    starts = pa.array(np.arange(0, (number + 1) * classes, classes, dtype=np.int32))
    column = datasets.Dataset.from_dict(
        {"labels": pa.ListArray.from_arrays(starts, pa.array(probabilities.ravel()))},
        features=datasets.Features({"labels": datasets.List(datasets.Value("float32"))}),
    )
    return datasets.concatenate_datasets([tokenized.remove_columns("labels"), column], axis=1)
