"""One trial of a search: its recipe, its model, its training, and what the training came to.

A trial is trained just as :func:`sentiment_lstm.training.train` would do it, and judged as it does
but for the calibration of short texts, which would have to score thousands of sentences after every
epoch. Where the reviews are short all through, or that calibration shows no gain, the winner's
figure is the one that `train` reports for its recipe on the same reviews and seed; elsewhere it may
differ a little, by the reviews of few tokens.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import HPSearchBackend, SaveStrategy

from sentiment_lstm.batches import RaggedIds
from sentiment_lstm.building import build_model
from sentiment_lstm.calibration import calibrate
from sentiment_lstm.errors import SentimentError
from sentiment_lstm.lessons import prepare_lessons, tokenize_part
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.model.ngram_channel import NgramChannel
from sentiment_lstm.ngrams import fit_ngram_channel, ngram_logits
from sentiment_lstm.pretraining import pretrain
from sentiment_lstm.recipes import Recipe
from sentiment_lstm.recipes.settings import TokenSettings
from sentiment_lstm.temperature import fit_blend
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.trainer import SentimentTrainer, make_trainer
from sentiment_lstm.tuning.space import Space, with_settings
from sentiment_lstm.unlabelled import texts_to_pretrain_on

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["FOLDER_OF_PRETRAINING", "FOLDER_OF_TRIALS", "Bench", "Judge", "SearchTrainer"]

FOLDER_OF_TRIALS = "trials"
FOLDER_OF_PRETRAINING = "pretraining"


class Bench:
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
        """Give the tokenizer of such settings, which is loaded once."""
        if tokens not in self._tokenizers:
            self._tokenizers[tokens] = load_tokenizer(
                self.tokenizer_source,
                clean_markup=tokens.clean_markup,
                max_length_tokens=tokens.limit_tokens,
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
        """Give the recipe with a trial's settings, or as it is."""
        return self.recipe if trial is None else with_settings(self.recipe, self.settings(trial))

    def build(self, trial: Trial | None) -> SentimentModel:
        """Build the untrained model of a trial, pre-trained where the recipe says so.

        `Trainer` calls this as its `model_init`, with None when it is made itself.
        """
        recipe = self.trial_recipe(trial)
        set_seed(self.seed)
        model = build_model(recipe, self.tokenizer(recipe.tokens), self.label_names)
        if trial is not None and recipe.pretraining.objective != "none":
            texts = texts_to_pretrain_on(recipe, self.train, self.unlabelled)
            pretrain(
                model,
                [self.tokenized(part, recipe) for part in texts],
                recipe.pretraining,
                work=self._pretraining_folder(recipe),
                seed=self.seed,
            )
        return model

    def tokenized(self, reviews: datasets.Dataset, recipe: Recipe) -> datasets.Dataset:
        """Tokenize reviews as a recipe says."""
        return tokenize_part(reviews, recipe, self.tokenizer(recipe.tokens))

    def trainer(self, model: SentimentModel, trial: Trial, judge: Judge) -> SentimentTrainer:
        """Set the training of a trial up as `train` does, but for the weights, which go unsaved."""
        recipe = self.trial_recipe(trial)
        work = self.output / FOLDER_OF_TRIALS / f"{trial.number:03d}"
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
            reviews=lessons.reviews,
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
        return self.output / FOLDER_OF_PRETRAINING / digest[:16]

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


class Judge:
    """Measure after each epoch about what `train` would report, were the training to end with it.

    The epoch that `train` keeps is the first of the best by the LSTM's own accuracy; the figures
    are of that epoch's model, its n-grams and its calibration included, without that of short
    texts.
    """

    def __init__(self) -> None:
        self.others: NDArray[np.float64] | None = None  # (N, C), the n-grams' logits
        self.epochs = 0
        self.kept_epoch: int | None = None
        self.accuracy: float | None = None
        self.log_loss: float | None = None
        self._best = -1.0

    def __call__(self, prediction: Any) -> dict[str, float | None]:  # noqa: ANN401 - Trainer's
        """Measure an epoch; `Trainer` calls this as its `compute_metrics`."""
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


class SearchTrainer(Trainer):
    """`Trainer.hyperparameter_search`, with a trainer of its own for every trial.

    Made as for `train`, it takes every setting from the trial's recipe, and nothing from the trial
    before: not the label smoothing, the early stopping or the batch sampler that a trainer is given
    once, when it is made.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        arguments = TrainingArguments(
            output_dir=str(bench.output / FOLDER_OF_TRIALS), report_to="none", disable_tqdm=True
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

        judge, started = Judge(), time.perf_counter()
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
