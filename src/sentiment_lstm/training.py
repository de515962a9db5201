"""Recipe and reviews in, a model folder out, on `transformers.Trainer`.

Checkpoints, the log for TensorBoard and `run.json` stand in ``NAME.training`` beside the output
until the model is saved; ``resume=True`` goes on from the newest whole checkpoint there, and ends
with the same weights as a training that was never interrupted. So does what comes before the
training by some recipes, each stage in a folder of its own there::

    pretraining/    the embedding and the LSTM on texts without labels
    labels/         a model that has learnt from the labels alone, which the training goes on from
    teacher-N/      a teacher that the recipe has made: an encoder fine-tuned, or a first model
    soft-labels/    what the teachers say of every text
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import datasets
import torch
from transformers import PreTrainedTokenizerFast, set_seed

from sentiment_lstm import artefact, ranks, runs
from sentiment_lstm.building import after_labels, build_model, load_weights
from sentiment_lstm.data import training_splits
from sentiment_lstm.data.rows import TRAIN, UNSUPERVISED, VALIDATION
from sentiment_lstm.errors import RankError
from sentiment_lstm.finishing import TrainingResult, finish, save
from sentiment_lstm.lessons import prepare_lessons, tokenize_part
from sentiment_lstm.memory import freed_memory_kept
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.ordinal import label_values
from sentiment_lstm.prediction import Classifier
from sentiment_lstm.pretraining import PRETRAINED, pretrain
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.runs import Stages
from sentiment_lstm.teaching import check_teachers, meet_teachers
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.trainer import EpochRecord, make_trainer
from sentiment_lstm.unlabelled import texts_to_learn_from, texts_to_pretrain_on

__all__ = ["EpochRecord", "TrainingResult", "train"]

logger = logging.getLogger(__name__)


def train(
    reviews: datasets.DatasetDict,
    recipe: Recipe,
    output: str | Path,
    *,
    source: str = "",
    seed: int = 0,
    resume: bool = False,
    restart: bool = False,
    tokenizer_source: str | Path | None = None,
    unlabelled: datasets.Dataset | None = None,
    soft_labels_folder: str | Path | None = None,
    pretrained_weights: Path | None = None,
    evaluate_test: bool = True,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_stage: Callable[[str], None] | None = None,
    progress: bool = False,
) -> TrainingResult:
    """Train a classifier and save it as a model folder.

    Args:
        reviews: split `train` and, if there is one, `test`; columns `text` and `label`. A split
            `validation` is used as it is; else the recipe's share of `train` is held out, no
            near-duplicate standing on both sides. A split `unsupervised` is the unlabelled text of
            recipes that learn from such.
        recipe: from `sentiment_lstm.recipes.load_recipe`.
        output: the model folder; a model that stands there is replaced once the new one is whole.
        source: what the reviews were loaded from, for the records.
        seed: of the starting weights, the dropout and the order. The validation split is the same
            for every seed, so that teachers and students of any seed agree on what none has seen.
        resume: go on with the unfinished training of this output.
        restart: throw an unfinished training of this output away.
        tokenizer_source: as in `load_tokenizer`.
        unlabelled: a column `text`; in place of the split `unsupervised`. Texts of the validation
            and the test split are left out of it.
        soft_labels_folder: where the teachers' soft labels are kept, to be used again by other
            trainings; None keeps them until this one has ended.
        pretrained_weights: what a pre-training by this recipe and seed has left, to spare another.
        evaluate_test: measure the split `test` once, when all is decided.
        on_epoch: called with the record of each epoch.
        on_stage: called with one line when a stage before the training begins, or gets on.
        progress: draw progress bars on standard error.

    Raises:
        DataError: the reviews cannot be trained on.
        ModelError: a teacher cannot be loaded, or has other labels.
        RecipeError: the recipe's settings contradict each other, or differ from the resumed run's.
        SaveError: the output cannot be written, or an unfinished training stands beside it.
    """
    started = time.perf_counter()
    ranks.join()
    output = Path(output)
    with (
        quiet_libraries(show_progress=progress),
        freed_memory_kept(),
        ranks.losses_told(lambda: runs.how_to_go_on(output)),
    ):
        ranks.from_first(lambda: artefact.check_replaceable(output))
        ranks.share_of_batch(recipe.training.batch_size)
        train_split, validation, dropped = ranks.from_first(
            lambda: training_splits(reviews, validation_size=recipe.training.validation_size)
        )
        tokenizer = load_tokenizer(
            tokenizer_source,
            clean_markup=recipe.tokens.clean_markup,
            max_length_tokens=recipe.tokens.limit_tokens,
        )
        label_names = reviews["train"].features["label"].names
        if recipe.training.ordinal and ranks.is_first():
            _check_order(label_names)
        ranks.from_first(lambda: check_teachers(recipe, train_split))
        set_seed(seed)
        # Adam's moments of words not seen for long decay into denormal numbers, on which a CPU
        # computes a hundred times slower.
        torch.set_flush_denormal(True)
        model = build_model(recipe, tokenizer, label_names)
        test = reviews.get("test")
        held_out = [part for part in (validation, test) if part is not None]
        texts = ranks.from_first(
            lambda: texts_to_learn_from(reviews, unlabelled, recipe, held_out=held_out)
        )
        run = ranks.from_first(
            lambda: runs.describe(
                recipe,
                seed=seed,
                source=source,
                train=train_split,
                validation=validation,
                unlabelled=texts,
                processes=ranks.size(),
            )
        )
        work, checkpoint = ranks.from_first(
            lambda: runs.open_with_checkpoint(output, run, resume=resume, restart=restart)
        )
        with ranks.together():
            _see(work)
        stages = Stages(
            work,
            (on_stage or logger.info) if ranks.is_first() else lambda _: None,
            keeps_time=ranks.is_first(),
        )
        stages.add("preparation", time.perf_counter() - started)
        # The unlabelled ones as a split of the source: they are what was chosen, all of them.
        parts = {TRAIN: train_split, VALIDATION: validation, UNSUPERVISED: texts}
        splits = datasets.DatasetDict(
            {name: part for name, part in parts.items() if part is not None}
        )
        if recipe.pretraining.objective != "none":
            pretrained_weights = _pretrain(
                model,
                splits,
                recipe,
                tokenizer,
                given=pretrained_weights,
                stages=stages,
                seed=seed,
                progress=progress,
            )
        teacher, student = None, recipe
        if recipe.distillation.teachers:
            teacher, learnt = meet_teachers(
                recipe,
                splits,
                stages=stages,
                seed=seed,
                train_self=partial(
                    train, tokenizer_source=tokenizer_source, pretrained_weights=pretrained_weights
                ),
            )
            if learnt is not None:
                student = after_labels(recipe)
                model = build_model(student, tokenizer, label_names)
                load_weights(model, learnt)
        with stages.timed("soft labels" if teacher else "tokens"):
            lessons = prepare_lessons(
                train_split,
                texts,
                recipe,
                tokenizer,
                teacher=teacher,
                folder=Path(soft_labels_folder or work / "soft-labels"),
                on_progress=stages.progress,
            )
        trainer = make_trainer(
            model,
            student,
            train=lessons.rows,
            reviews=lessons.reviews,
            validation=(
                None if validation is None else tokenize_part(validation, recipe, tokenizer)
            ),
            work=work,
            seed=seed,
            on_epoch=on_epoch,
            progress=progress,
        )
        if checkpoint is not None and runs.stopped_early(checkpoint):
            # Killed between the last epoch and the saving: training on would add an epoch.
            trainer.restore_best(checkpoint)
        else:
            with stages.timed("training"):
                ranks.vary_seed(seed)
                trainer.train(
                    resume_from_checkpoint=None if checkpoint is None else str(checkpoint)
                )
        scored = None if validation is None else trainer.validation_logits()

        def last_steps() -> TrainingResult:
            classifier = Classifier(model.cpu().eval(), tokenizer)
            result = finish(
                classifier,
                trainer,
                lessons,
                splits,
                scored=scored,
                test=test if evaluate_test else None,
                output=output,
                stages=stages,
                dropped=dropped,
                resumed=checkpoint is not None,
            )
            save(result, classifier, run, work)
            shutil.rmtree(work, ignore_errors=True)
            return result

        return ranks.from_first(last_steps)


def _pretrain(
    model: SentimentModel,
    splits: datasets.DatasetDict,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    *,
    given: Path | None,
    stages: Stages,
    seed: int,
    progress: bool,
) -> Path:
    """Pre-train the model on texts without labels, and give the file of its weights."""
    texts = texts_to_pretrain_on(recipe, splits[TRAIN], splits.get(UNSUPERVISED))
    with stages.timed("pretraining") as folder:
        ranks.from_first(lambda: _take_over(given, folder))
        pretrain(
            model,
            [tokenize_part(part, recipe, tokenizer) for part in texts],
            recipe.pretraining,
            work=folder,
            seed=seed,
            progress=progress,
        )
    set_seed(seed)  # whether the stage was run now or before a kill must not matter
    return folder / PRETRAINED


def _take_over(pretrained_weights: Path | None, folder: Path) -> None:
    if pretrained_weights is not None and pretrained_weights.is_file():
        folder.mkdir(exist_ok=True)
        shutil.copy(pretrained_weights, folder / PRETRAINED)


def _see(work: Path) -> None:
    """Refuse a folder of the first process that this one has no view of."""
    if not work.is_dir():
        raise RankError(
            f"{work}: process {ranks.rank()} does not see this folder, which the first one has "
            "made. Name an output folder that all machines share."
        )


def _check_order(label_names: list[str]) -> None:
    """Say what an order of the classes cannot mean, or may not be."""
    order = " < ".join(label_names)
    if len(label_names) == 2:
        logger.warning(
            "training.ordinal does no more than smooth the labels where there are two, %s.", order
        )
    elif label_values(label_names) is None:
        logger.warning(
            "training.ordinal takes the labels in the order %s. If that is not theirs, let each "
            "begin with a number, as in '1 bad'.",
            order,
        )
