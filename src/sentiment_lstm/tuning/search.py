"""Trials of a recipe with other settings, on `transformers.Trainer.hyperparameter_search`.

A trial is trained and judged just as :func:`sentiment_lstm.training.train` would do it, so the
winner's figure is the one that `train` reports for its recipe on the same reviews and seed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import HPSearchBackend, SaveStrategy

from sentiment_lstm import runs
from sentiment_lstm.batches import RaggedIds
from sentiment_lstm.calibration import calibrate, fit_blend
from sentiment_lstm.errors import RecipeError, SentimentError, nearest
from sentiment_lstm.lessons import prepare_lessons
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.model.ngram_channel import NgramChannel
from sentiment_lstm.ngrams import fit_ngram_channel, ngram_logits
from sentiment_lstm.pretraining import pretrain
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.recipes import Recipe, TokenSettings, load_recipe
from sentiment_lstm.teaching import texts_to_learn_from
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from sentiment_lstm.trainer import SentimentTrainer, make_trainer
from sentiment_lstm.training import (
    build_model,
    set_precision,
    training_splits,
)
from sentiment_lstm.tuning import study as studies
from sentiment_lstm.tuning.pictures import save_pictures
from sentiment_lstm.tuning.space import Space, load_space, with_settings
from sentiment_lstm.tuning.study import TrialRecord

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

__all__ = ["METRICS", "PRUNERS", "TuningResult", "tune"]

METRICS: dict[str, Literal["maximize", "minimize"]] = {
    "accuracy": "maximize",
    "log_loss": "minimize",
}
PRUNERS = ("median", "hyperband", "none")
_NO_SETTINGS = {"name", "summary"}
_FOLDER_OF_TRIALS = "trials"
_FOLDER_OF_PRETRAINING = "pretraining"
_MEDIAN_OF = 3  # trials that came as far, at least, before a worse one is ended
_SECONDS_A_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """What a search found, and where it stands."""

    output: Path
    best: TrialRecord
    recipe: Recipe  # the best trial's, as best.toml holds it
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
        output: the folder of the study, best.toml, trials.csv, the pictures and, for TensorBoard,
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
        train, validation, _ = training_splits(reviews, recipe)
        if validation is None:
            raise RecipeError("There are no validation reviews. Set training.validation_size.")
        bench = _Bench(
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
        bench.unlabelled = _unlabelled(reviews, unlabelled, recipe, bench.space)
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


class _Bench:
    """What all trials share: the reviews, and what was once computed of them."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        label_names: list[str],
        train: datasets.Dataset,
        validation: datasets.Dataset,
        tokenizer_source: str | Path | None,
        seed: int,
        metric: str,
        output: Path,
    ) -> None:
        self.recipe = recipe
        self.space: Space = {}
        self.label_names = label_names
        self.train = train
        self.validation = validation
        self.unlabelled: datasets.Dataset | None = None
        self.tokenizer_source = tokenizer_source
        self.seed = seed
        self.metric = metric
        self.output = output
        self._tokenizers: dict[TokenSettings, PreTrainedTokenizerFast] = {}
        self._ngram_logits: dict[tuple[Any, ...], NDArray[np.float64]] = {}

    def tokenizer(self, tokens: TokenSettings) -> PreTrainedTokenizerFast:
        if tokens not in self._tokenizers:
            self._tokenizers[tokens] = load_tokenizer(
                self.tokenizer_source,
                clean_markup=tokens.clean_markup,
                max_length_tokens=tokens.max_length_tokens or None,
            )
        return self._tokenizers[tokens]

    def check(self, recipe: Recipe) -> None:
        """Raise what building a recipe's model would raise, without its weights."""
        # The pre-trained vectors take seconds, and fit any recipe that names a size they have.
        model = dataclasses.replace(recipe.model, pretrained_embeddings=False)
        with torch.device("meta"):
            build_model(
                dataclasses.replace(recipe, model=model),
                self.tokenizer(recipe.tokens),
                self.label_names,
            )

    def settings(self, trial: Trial) -> dict[str, Any]:
        """The values that Optuna chose for a trial, by `section.key`."""
        return {name: entry.suggest(trial, name) for name, entry in self.space.items()}

    def trial_recipe(self, trial: Trial | None) -> Recipe:
        return self.recipe if trial is None else with_settings(self.recipe, self.settings(trial))

    def build(self, trial: Trial | None) -> SentimentModel:
        """Build the untrained model of a trial, pre-trained where the recipe says so.

        `Trainer` calls this as its `model_init`, with None when it is made itself.
        """
        recipe = self.trial_recipe(trial)
        set_seed(self.seed)
        model = build_model(recipe, self.tokenizer(recipe.tokens), self.label_names)
        set_precision(model, recipe)
        if trial is not None and recipe.pretraining.objective != "none":
            texts = [self.train]
            if self.unlabelled is not None and recipe.pretraining.unlabelled:
                texts.append(self.unlabelled)
            pretrain(
                model,
                [self.tokenized(part, recipe) for part in texts],
                recipe.pretraining,
                work=self._pretraining_folder(recipe),
                seed=self.seed,
            )
        return model

    def tokenized(self, reviews: datasets.Dataset, recipe: Recipe) -> datasets.Dataset:
        return tokenize_reviews(
            reviews,
            self.tokenizer(recipe.tokens),
            max_length_tokens=recipe.tokens.max_length_tokens or None,
        )

    def trainer(self, model: SentimentModel, trial: Trial, judge: _Judge) -> SentimentTrainer:
        """Set the training of a trial up as `train` does, but for the weights, which go unsaved."""
        recipe = self.trial_recipe(trial)
        work = self.output / _FOLDER_OF_TRIALS / f"{trial.number:03d}"
        lessons = prepare_lessons(
            self.train,
            None,
            recipe,
            self.tokenizer(recipe.tokens),
            teacher=None,
            folder=work,
        )
        trainer = make_trainer(
            model,
            recipe,
            train=lessons.rows,
            validation=self.tokenized(self.validation, recipe),
            work=work,
            seed=self.seed,
        )
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.args.load_best_model_at_end = False
        trainer.compute_metrics = judge
        if model.ngrams is not None:
            judge.others = self._ngrams(recipe, model.ngrams, trainer)
        return trainer

    def _pretraining_folder(self, recipe: Recipe) -> Path:
        """Where the pre-trained weights of a recipe stand, for every trial that asks for them."""
        key = json.dumps([recipe.to_dict()[name] for name in ("tokens", "model", "pretraining")])
        digest = hashlib.sha256(f"{key} {recipe.training.precision}".encode()).hexdigest()
        return self.output / _FOLDER_OF_PRETRAINING / digest[:16]

    def _ngrams(
        self, recipe: Recipe, like: NgramChannel, trainer: SentimentTrainer
    ) -> NDArray[np.float64]:
        """Score the validation reviews by n-grams, which no training of the LSTM changes."""
        key = (recipe.tokens, like.buckets, *like.orders)
        if key not in self._ngram_logits:
            channel = NgramChannel(like.buckets, like.orders, like.num_labels)
            train = self.tokenized(self.train, recipe)
            fit_ngram_channel(channel, RaggedIds(train), np.asarray(train["labels"][:]))
            self._ngram_logits[key] = ngram_logits(channel, trainer.validation_ids())
        return self._ngram_logits[key]


class _Judge:
    """Measure after each epoch what `train` would report, were the training to end with it.

    The epoch that `train` keeps is the first of the best by the LSTM's own accuracy; the figures
    are of that epoch's model, its n-grams and its calibration included.
    """

    def __init__(self) -> None:
        self.others: NDArray[np.float64] | None = None  # (N, C), the n-grams' logits
        self.epochs = 0
        self.kept_epoch: int | None = None
        self.accuracy: float | None = None
        self.log_loss: float | None = None
        self._best = -1.0

    def __call__(self, prediction: Any) -> dict[str, float | None]:  # noqa: ANN401 - Trainer's
        import optuna

        logits = np.asarray(prediction.predictions, dtype=np.float64)
        labels = np.asarray(prediction.label_ids)
        self.epochs += 1
        if not np.isfinite(logits).all():
            raise optuna.TrialPruned("the training diverged: a score is no finite number")
        accuracy = float((logits.argmax(axis=1) == labels).mean())
        if accuracy > self._best:
            self._best = accuracy
            if self.others is not None:
                logits = logits + fit_blend(logits, self.others, labels) * self.others
            self.kept_epoch = self.epochs
            calibration = calibrate(logits, labels)
            self.accuracy = float((calibration.rescaled(logits).argmax(axis=1) == labels).mean())
            self.log_loss = calibration.log_loss_after
        return {
            "accuracy": accuracy,
            "kept_accuracy": self.accuracy,
            "kept_log_loss": self.log_loss,
        }


class _SearchTrainer(Trainer):
    """`Trainer.hyperparameter_search`, with a trainer of its own for every trial.

    Made as for `train`, it takes every setting from the trial's recipe, and nothing from the trial
    before: not the label smoothing, the early stopping or the batch sampler that a trainer is given
    once, when it is made.
    """

    def __init__(self, bench: _Bench) -> None:
        self._bench = bench
        arguments = TrainingArguments(
            output_dir=str(bench.output / _FOLDER_OF_TRIALS), report_to="none", disable_tqdm=True
        )
        super().__init__(model_init=bench.build, args=arguments)

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,  # noqa: ANN401 - as in `Trainer`
        ignore_keys_for_eval: list[str] | None = None,
    ) -> Any:  # noqa: ANN401
        """Train one trial; its objective is what `hyperparameter_search` hands to Optuna."""
        import optuna

        judge, started = _Judge(), time.perf_counter()
        note = ""
        try:
            model: Any = self.call_model_init(trial)
            trainer = self._bench.trainer(model, trial, judge)
            trainer.hp_search_backend = HPSearchBackend.OPTUNA
            trainer.hp_space = lambda _: {}  # its arguments are the trial's already
            trainer.compute_objective = self.compute_objective
            trainer.train(trial=trial)
        except SentimentError as error:
            # Values that fit one by one can contradict each other; the sampler learns where.
            note = str(error)
            raise optuna.TrialPruned(note) from error
        except optuna.TrialPruned as error:
            note = str(error)
            # Ended after its last epoch, it is a whole trial, and its figure is worth keeping.
            if note or judge.epochs < self._bench.trial_recipe(trial).training.epochs:
                raise
        finally:
            figures = {
                "accuracy": judge.accuracy,
                "log_loss": judge.log_loss,
                "epochs": judge.epochs,
                "kept_epoch": judge.kept_epoch,
                "seconds": time.perf_counter() - started,
                "note": note,
            }
            for name, value in figures.items():
                trial.set_user_attr(name, value)
        self.objective = getattr(judge, self._bench.metric)


def _search(
    bench: _Bench,
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
        for name in (_FOLDER_OF_TRIALS, _FOLDER_OF_PRETRAINING):
            shutil.rmtree(bench.output / name, ignore_errors=True)
    started = time.perf_counter()
    cut = studies.repeat_cut_trials(study)
    before = done = len(_finished(studies.read_trials(study, bench.space)))
    # As `train` does: see there.
    torch.set_flush_denormal(True)
    trainer = _SearchTrainer(bench) if done < trials else None
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
    trainer: _SearchTrainer,
    bench: _Bench,
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
    bench: _Bench, records: list[TrialRecord], source: str
) -> tuple[TrialRecord | None, Recipe | None]:
    """Write trials.csv and, as soon as there is a best trial, best.toml."""
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
        bench.output / studies.BEST,
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
            "them back into best.toml."
        )


def _unlabelled(
    reviews: datasets.DatasetDict,
    unlabelled: datasets.Dataset | None,
    recipe: Recipe,
    space: Space,
) -> datasets.Dataset | None:
    """The unlabelled texts, if any trial is to read them."""
    names = [name for name in space if name in ("pretraining.objective", "pretraining.unlabelled")]
    for values in itertools.product(*(space[name].ends() for name in names)):
        asking = with_settings(recipe, dict(zip(names, values, strict=True)))
        texts = texts_to_learn_from(reviews, unlabelled, asking)
        if texts is not None:
            return texts
    return None


def _pruner(name: str, bench: _Bench) -> BasePruner:
    from optuna import pruners

    if name == "hyperband":
        entry = bench.space.get("training.epochs")
        ends = [bench.recipe.training.epochs] if entry is None else entry.ends()
        most_epochs = int(max(ends))
        return pruners.HyperbandPruner(min_resource=1, max_resource=most_epochs)
    return (
        pruners.MedianPruner(n_min_trials=_MEDIAN_OF) if name == "median" else pruners.NopPruner()
    )
