"""The search for the settings with which a recipe does best, trial by trial, in one folder."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import datasets
import numpy as np
import torch

from sentiment_lstm import runs
from sentiment_lstm.data import training_splits
from sentiment_lstm.errors import RecipeError, nearest
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.recipes import Recipe, load_recipe
from sentiment_lstm.tuning import study as studies
from sentiment_lstm.tuning.pictures import save_pictures
from sentiment_lstm.tuning.space import load_space, with_settings
from sentiment_lstm.tuning.study import TrialRecord
from sentiment_lstm.tuning.trials import (
    FOLDER_OF_PRETRAINING,
    FOLDER_OF_TRIALS,
    Bench,
    SearchTrainer,
)
from sentiment_lstm.unlabelled import asks_for_texts, texts_to_learn_from

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["METRICS", "PRUNERS", "TuningResult", "tune"]

METRICS: dict[str, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "log_loss": "minimize",
}
PRUNERS = ("median", "hyperband", "none")
_NO_SETTINGS = {"name", "summary"}
_MEDIAN_OF = 3  # trials that came as far, at least, before a worse one is ended
_SECONDS_A_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """What a search found, and where it stands."""

    output: Path
    best: TrialRecord
    recipe: Recipe  # the best trial's, as tuned.toml holds it
    trials: list[TrialRecord]  # all that ended, those of earlier parts too
    importances: dict[str, float]  # by setting; empty where the trials are too few
    pictures: list[Path]
    seconds: float  # of this part of the search
    trials_before: int  # finished by earlier parts
    trials_cut: int  # found unfinished, and repeated


def tune(
    reviews: datasets.DatasetDict,
    recipe: Recipe,
    output: str | Path,
    *,
    trials: int = 20,
    space: str | Path | None = None,
    metric: str = "accuracy",
    pruner: str = "median",
    time_limit_min: float | None = None,
    source: str = "",
    seed: int = 0,
    restart: bool = False,
    tokenizer_source: str | Path | None = None,
    unlabelled: datasets.Dataset | None = None,
    on_trial: Callable[[TrialRecord], None] | None = None,
) -> TuningResult:
    """Search the settings with which a recipe does best on the validation reviews.

    The study stands in the output folder and is written trial by trial: the same call goes on with
    it after a kill, and makes the same trials that it would have made without one.

    Args:
        reviews: splits `train` and, if there are such, `validation` and `unsupervised`, as for
            `train`; the others are not read.
        recipe: what the trials start from.
        output: the folder of the study, tuned.toml, trials.csv, the pictures and, for TensorBoard,
            trials/.
        trials: complete or pruned, over all parts of the search.
        space: a TOML file as in `tuning.space`; None for the default one.
        metric: `accuracy`, or `log_loss` after calibration, of the finished model.
        pruner: what ends a trial early, by its figure after each epoch: `median`, `hyperband` or
            `none`.
        time_limit_min: minutes after which no trial but the first of this part is begun.
        source: what the reviews were loaded from, for the records.
        seed: of every training, as for `train`, and of the search.
        restart: throw away the study that stands in the output folder.
        tokenizer_source: as in `load_tokenizer`.
        unlabelled: texts to pre-train on, as for `train`.
        on_trial: called with the record of each trial.

    Raises:
        DataError: the reviews cannot be trained on.
        RecipeError: the space, the recipe or an argument does not fit, the study in the output
            folder is of something else, or no trial could be completed.
        SaveError: the output folder cannot be written, or another search is at work in it.
        SentimentError: Optuna is not installed.
    """
    studies.check_optuna()
    _check_arguments(recipe, trials, metric, pruner, time_limit_min)
    with quiet_libraries():
        train, validation, _ = training_splits(
            reviews, validation_size=recipe.training.validation_size
        )
        if validation is None:
            raise RecipeError("There are no validation reviews. Set training.validation_size.")
        bench = Bench(
            recipe=recipe,
            label_names=train.features["label"].names,
            train=train,
            validation=validation,
            tokenizer_source=tokenizer_source,
            seed=seed,
            metric=metric,
            output=Path(output),
        )
        bench.space = load_space(space, recipe, try_recipe=bench.check)
        bench.unlabelled = _unlabelled(bench, reviews, unlabelled)
        run = runs.describe(
            recipe,
            seed=seed,
            source=source,
            train=train,
            validation=validation,
            unlabelled=bench.unlabelled,
        )
        identity = {
            "recipe": {key: run["recipe"][key] for key in run["recipe"].keys() - _NO_SETTINGS},
            "space": {name: entry.to_dict() for name, entry in bench.space.items()},
            "data": {split: run["data"][split] for split in run["data"].keys() - {"source"}},
            "tokenizer": str(tokenizer_source or ""),
            "metric": metric,
            "pruner": pruner,
            "seed": seed,
        }
        with studies.open_study(
            bench.output, identity, direction=METRICS[metric], restart=restart
        ) as study:
            return _search(
                bench,
                study,
                trials=trials,
                pruner=_pruner(pruner, bench),
                time_limit_min=time_limit_min,
                source=source,
                restart=restart,
                on_trial=on_trial,
            )


def _search(
    bench: Bench,
    study: Study,
    *,
    trials: int,
    pruner: BasePruner,
    time_limit_min: float | None,
    source: str,
    restart: bool,
    on_trial: Callable[[TrialRecord], None] | None,
) -> TuningResult:
    from optuna.samplers import TPESampler

    if restart:
        for name in (FOLDER_OF_TRIALS, FOLDER_OF_PRETRAINING):
            shutil.rmtree(bench.output / name, ignore_errors=True)
    started = time.perf_counter()
    cut = studies.repeat_cut_trials(study)
    before = done = len(_finished(studies.read_trials(study, bench.space)))
    # As `train` does: see there.
    torch.set_flush_denormal(True)
    trainer = SearchTrainer(bench) if done < trials else None
    while trainer is not None and done < trials:
        spent_min = (time.perf_counter() - started) / _SECONDS_A_MINUTE
        if time_limit_min is not None and done > before and spent_min >= time_limit_min:
            break
        # One trial a call, each with a sampler of its own: its choice depends on the seed and the
        # trials before, so that a search that was killed goes on as if it had not been.
        entropy = np.random.SeedSequence((bench.seed, done)).generate_state(1)
        _run_one(trainer, bench, study, TPESampler(seed=int(entropy[0])), pruner)
        records = studies.read_trials(study, bench.space)
        done = len(_finished(records))
        _write(bench, records, source)
        if on_trial is not None:
            on_trial(records[-1])
    records = studies.read_trials(study, bench.space)
    best, recipe = _write(bench, records, source)
    if best is None or recipe is None:
        notes = {record.note for record in records if record.note}
        raise RecipeError(
            f"{bench.output}: none of {len(records)} trials came to its end"
            f"{f' ({min(notes)})' if notes else ''}. Change the search space, and search anew by "
            "--restart."
        )
    importances = studies.setting_importances(study, records)
    return TuningResult(
        output=bench.output,
        best=best,
        recipe=recipe,
        trials=records,
        importances=importances,
        pictures=save_pictures(
            bench.output,
            records,
            bench.space,
            metric=bench.metric,
            maximize=METRICS[bench.metric] == "maximize",
            importances=importances,
        ),
        seconds=time.perf_counter() - started,
        trials_before=before,
        trials_cut=cut,
    )


def _run_one(
    trainer: SearchTrainer,
    bench: Bench,
    study: Study,
    sampler: BaseSampler,
    pruner: BasePruner,
) -> None:
    try:
        trainer.hyperparameter_search(
            hp_space=bench.settings,
            compute_objective=lambda metrics: metrics[f"eval_kept_{bench.metric}"],
            n_trials=1,
            direction=METRICS[bench.metric],
            backend="optuna",
            study_name=study.study_name,
            storage=study._storage,
            load_if_exists=True,
            sampler=sampler,
            pruner=pruner,
        )
    except ValueError:
        # `hyperparameter_search` ends by asking for the best trial, and there may be none yet.
        states = [record.state for record in studies.read_trials(study, {})]
        if "complete" in states or states[-1:] != ["pruned"]:
            raise


def _finished(records: list[TrialRecord]) -> list[TrialRecord]:
    """The trials that count: one that was cut or broke is repeated."""
    return [record for record in records if record.state != "failed"]


def _write(
    bench: Bench, records: list[TrialRecord], source: str
) -> tuple[TrialRecord | None, Recipe | None]:
    """Write trials.csv and, as soon as there is a best trial, tuned.toml."""
    studies.write_trials(bench.output / studies.TRIALS, records, bench.space)
    ranked = studies.rank(records, maximize=METRICS[bench.metric] == "maximize")
    if not ranked:
        return None, None
    best, trials = ranked[0], len(_finished(records))
    recipe = dataclasses.replace(
        with_settings(bench.recipe, best.settings),
        summary=f"The recipe {bench.recipe.name}, tuned by {trials} trials.",
    )
    path = studies.write_best(
        bench.output / studies.TUNED,
        recipe,
        [
            f"The best of {trials} trials by `sentiment-lstm tune`, judged by {bench.metric} on "
            "validation reviews.",
            f"Study: {studies.STUDY} beside this file, from the recipe {bench.recipe.name}, "
            f"{len(bench.train):,} training and {len(bench.validation):,} validation reviews of "
            f"{source or 'a data set'}, seed {bench.seed}.",
            f"Trial {best.number}: validation accuracy {best.accuracy:.4f}, log loss "
            f"{best.log_loss:.4f}, epoch {best.kept_epoch} of {best.epochs} kept.",
        ],
    )
    return best, load_recipe(path)


def _check_arguments(
    recipe: Recipe, trials: int, metric: str, pruner: str, time_limit_min: float | None
) -> None:
    for name, value, known in (("metric", metric, METRICS), ("pruner", pruner, PRUNERS)):
        if value not in known:
            raise RecipeError(
                f"The {name} is {value!r}; expected one of {', '.join(known)}."
                f"{nearest(value, known)}"
            )
    if trials < 1:
        raise RecipeError(f"The number of trials is {trials}; expected at least 1.")
    if time_limit_min is not None and not time_limit_min > 0:
        raise RecipeError(f"The time limit is {time_limit_min:g} minutes; expected above 0.")
    if not recipe.training.validation_size:
        raise RecipeError(
            f"recipe {recipe.name}: training.validation_size is 0, so that there would be no "
            "reviews to compare the trials on. Set it by --set training.validation_size=0.1."
        )
    if recipe.distillation.teachers:
        raise RecipeError(
            f"recipe {recipe.name}: distillation.teachers is {recipe.distillation.teachers!r}, and "
            "a search asks no teachers. Leave them out by --set distillation.teachers=[], and put "
            "them back into tuned.toml."
        )


def _unlabelled(
    bench: Bench, reviews: datasets.DatasetDict, unlabelled: datasets.Dataset | None
) -> datasets.Dataset | None:
    """The unlabelled texts, if any trial is to read them."""
    recipe, space = bench.recipe, bench.space
    names = [name for name in space if name in ("pretraining.objective", "pretraining.unlabelled")]
    for values in itertools.product(*(space[name].ends() for name in names)):
        asking = with_settings(recipe, dict(zip(names, values, strict=True)))
        if asks_for_texts(asking):
            recipe = asking
            break
    # The test split is not read, and nothing is measured on it.
    return texts_to_learn_from(reviews, unlabelled, recipe, held_out=[bench.validation])


def _pruner(name: str, bench: Bench) -> BasePruner:
    from optuna import pruners

    if name == "hyperband":
        entry = bench.space.get("training.epochs")
        ends = [bench.recipe.training.epochs] if entry is None else entry.ends()
        most_epochs = int(max(ends))
        return pruners.HyperbandPruner(min_resource=1, max_resource=most_epochs)
    return (
        pruners.MedianPruner(n_min_trials=_MEDIAN_OF) if name == "median" else pruners.NopPruner()
    )
