"""What a recipe can set, section by section, and which values are in range."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from sentiment_lstm.encoder_settings import MAX_WINDOW_TOKENS, MIN_WINDOW_TOKENS
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.ranges import check_choice, check_range

__all__ = [
    "SECTIONS",
    "DistillationSettings",
    "ModelSettings",
    "PretrainingSettings",
    "Recipe",
    "TokenSettings",
    "TrainingSettings",
]

SCHEDULES = ("constant", "linear", "cosine")
PRECISIONS = ("auto", "bfloat16", "float32")
OBJECTIVES = ("none", "language_model", "region")


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """How a review becomes token ids."""

    clean_markup: bool = True
    max_length_tokens: int = 0  # 0 reads whole reviews
    fixed_length: bool = False  # pad every review to the maximum

    def __post_init__(self) -> None:
        check_range("tokens.max_length_tokens", self.max_length_tokens, low=0)
        if self.fixed_length and not self.max_length_tokens:
            raise RecipeError(
                "tokens.fixed_length is true, but tokens.max_length_tokens is 0: there is no "
                "length to pad to. Set tokens.max_length_tokens."
            )

    @property
    def limit_tokens(self) -> int | None:
        """The most tokens that are read of a review; None reads all."""
        return self.max_length_tokens or None


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What is built; each setting is explained in `SentimentConfig`."""

    embedding_size: int = 128
    hidden_size: int = 128
    num_hidden_layers: int = 1
    bidirectional: bool = True
    pooling: str = "mean_max"
    segment_length: int = 64  # 0 reads every review in one pass
    mask_padding: bool = True
    word_dropout: float = 0.0
    embedding_dropout: float = 0.0
    hidden_dropout: float = 0.0
    classifier_dropout: float = 0.0
    ngram_buckets: int = 0  # 0 leaves the n-gram channel out
    longest_ngram: int = 3  # word pieces
    pretrained_embeddings: bool = False  # start from the PCA of a pre-trained BERT's word pieces


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How it is trained."""

    epochs: int = 4
    batch_size: int = 50
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup_share: float = 0.0  # of all steps
    weight_decay: float = 0.0
    max_gradient_norm: float = 0.0  # 0 clips nothing
    label_smoothing: float = 0.0
    ordinal: bool = False  # the classes have an order, such as stars: a near miss is less wrong
    ordinal_slope: float = 1.5  # how fast a class's share of the target falls with its distance
    validation_size: float = 0.1  # share of train; 0 trains on all of it, and picks no epoch
    patience: int = 0  # epochs without a better validation accuracy before stopping; 0 never stops
    precision: str = "auto"  # of the LSTM: bfloat16 where the processor multiplies it faster
    # How far each review's embeddings are moved against the model, see `Adversary`; 0 reads once.
    adversarial_epsilon: float = 0.0
    adversarial_every: int = 1  # batches; the others are read once
    segments: int = 0  # the most that are read of a review, others in every epoch; 0 reads all
    sentences: int = 0  # drawn from the reviews and trained on beside them
    negations: int = 0  # clauses of reviews, as they stand and denied; where labels are two
    sentence_group: int = 1  # sentences or clauses that stand in the place of one review of a batch

    def __post_init__(self) -> None:
        check_range("training.epochs", self.epochs, low=1)
        check_range("training.batch_size", self.batch_size, low=1)
        check_range("training.learning_rate", self.learning_rate, above=0)
        check_range("training.warmup_share", self.warmup_share, low=0, below=1)
        check_range("training.weight_decay", self.weight_decay, low=0)
        check_range("training.max_gradient_norm", self.max_gradient_norm, low=0)
        check_range("training.label_smoothing", self.label_smoothing, low=0, below=1)
        check_range("training.ordinal_slope", self.ordinal_slope, above=0, below=100)
        check_range("training.validation_size", self.validation_size, low=0, below=1)
        check_range("training.patience", self.patience, low=0)
        check_range("training.adversarial_epsilon", self.adversarial_epsilon, low=0)
        check_range("training.adversarial_every", self.adversarial_every, low=1)
        check_range("training.segments", self.segments, low=0)
        check_range("training.sentences", self.sentences, low=0)
        check_range("training.negations", self.negations, low=0)
        check_range("training.sentence_group", self.sentence_group, low=1)
        check_choice("training.schedule", self.schedule, SCHEDULES)
        check_choice("training.precision", self.precision, PRECISIONS)
        if self.patience and not self.validation_size:
            raise RecipeError(
                "training.patience needs a validation split to watch, but training.validation_size "
                "is 0. Set training.validation_size, or training.patience to 0."
            )


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """What the embedding and the LSTM learn from texts alone, before the training."""

    objective: str = "none"  # language_model: the next word; region: the next few, in any order
    unlabelled: bool = True  # read the unlabelled texts, too, not the training reviews alone
    epochs: int = 1
    batch_size: int = 256  # segments
    learning_rate: float = 2e-3
    embedding_learning_rate: float = 0.0  # of the words' vectors, which move seldom; 0: as the rest
    distance_tokens: int = 5  # of `region`: how far ahead it looks
    negatives: int = 512  # words that each true one is told from

    def __post_init__(self) -> None:
        check_choice("pretraining.objective", self.objective, OBJECTIVES)
        check_range("pretraining.epochs", self.epochs, low=1)
        check_range("pretraining.batch_size", self.batch_size, low=1)
        check_range("pretraining.learning_rate", self.learning_rate, above=0)
        check_range("pretraining.embedding_learning_rate", self.embedding_learning_rate, low=0)
        check_range("pretraining.distance_tokens", self.distance_tokens, low=1)
        check_range("pretraining.negatives", self.negatives, low=1)


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """Which teachers' opinions are learnt beside the labels; their unlabelled texts too."""

    teachers: list[str] = field(default_factory=list)  # as in `load_teachers`
    teacher_share: float = 0.5  # of the target of a labelled review; its label has the rest
    unlabelled: bool = True  # learn what the teachers say of unlabelled texts
    passage_tokens: int = 0  # cut those texts into passages of so many; 0 leaves them whole
    labelled_passages: bool = False  # learn what they say of such passages of labelled texts, too
    # Train on the labels alone first, and go on from there without dropout.
    after_labels: bool = False
    teacher_epochs: int = 2  # of an encoder that is fine-tuned for this training
    teacher_learning_rate: float = 1e-4  # of the same; a large one asks for less
    # Of the same, where its spec names none; it is trained on one of each review an epoch.
    teacher_window_tokens: int = MAX_WINDOW_TOKENS
    teacher_window_limit: int = 0  # windows that it reads of a text, from both ends; 0 reads all

    def __post_init__(self) -> None:
        check_range("distillation.teacher_epochs", self.teacher_epochs, low=1)
        check_range(
            "distillation.teacher_learning_rate", self.teacher_learning_rate, above=0, below=1
        )
        check_range(
            "distillation.teacher_window_tokens", self.teacher_window_tokens, low=MIN_WINDOW_TOKENS
        )
        check_range("distillation.teacher_window_limit", self.teacher_window_limit, low=0)
        check_range("distillation.teacher_share", self.teacher_share, low=0, high=1)
        check_range("distillation.passage_tokens", self.passage_tokens, low=0)
        if self.labelled_passages and not self.passage_tokens:
            raise RecipeError(
                "distillation.labelled_passages learns passages of the labelled texts, but "
                "distillation.passage_tokens is 0, which cuts none. Set one of them to another "
                "value."
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a training; `to_dict` and :func:`recipe_from_dict` are inverse."""

    name: str
    summary: str
    tokens: TokenSettings = field(default_factory=TokenSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        if self.tokens.fixed_length and self.model.ngram_buckets:
            raise RecipeError(
                "tokens.fixed_length and model.ngram_buckets contradict each other: the n-gram "
                "channel reads whole reviews. Set one of them to false or 0."
            )
        if self.training.segments and not self.model.segment_length:
            raise RecipeError(
                "training.segments leaves segments of a review out, but model.segment_length is 0: "
                "a review is one segment. Set one of them to another value."
            )
        for name, off in (("segments", 0), ("sentence_group", 1)):
            if self.tokens.fixed_length and getattr(self.training, name) != off:
                raise RecipeError(
                    f"training.{name} and tokens.fixed_length contradict each other: all texts are "
                    f"read at one length. Set training.{name} to {off}, or the other to false."
                )
        if self.model.ngram_buckets and not self.training.validation_size:
            raise RecipeError(
                "model.ngram_buckets needs a validation split to weigh the n-grams on, but "
                "training.validation_size is 0. Set one of them to another value."
            )

    def to_dict(self) -> dict[str, Any]:
        """Give plain nested values, as a TOML or JSON file holds them."""
        return dataclasses.asdict(self)


SECTIONS = {
    "tokens": TokenSettings,
    "model": ModelSettings,
    "pretraining": PretrainingSettings,
    "distillation": DistillationSettings,
    "training": TrainingSettings,
}
