"""The settings that a `SentimentModel` is built from."""

from __future__ import annotations

import math

from transformers import PreTrainedConfig

POOLINGS = ("last", "mean", "max", "mean_max", "attention")


class SentimentConfig(PreTrainedConfig):
    r"""Configuration of an LSTM sentiment classifier.

    Args:
        vocab_size: word pieces in the tokenizer's vocabulary.
        embedding_size: width E of a token's embedding.
        hidden_size: width H of the LSTM's state, per direction.
        num_hidden_layers: LSTM layers on top of each other.
        bidirectional: read every segment from both ends.
        word_dropout: share of the tokens whose embedding is zeroed in training.
        embedding_dropout: dropout on the embedded tokens.
        hidden_dropout: dropout between LSTM layers.
        classifier_dropout: dropout on the pooled states.
        pooling: how the states of a review become one vector: `last`, `mean`, `max`, `mean_max`
            (both, side by side) or `attention` (a learnt weighted mean).
        segment_length: the most tokens that one pass of the LSTM reads. A longer review is split
            into equal segments which are read side by side and pooled together. None reads every
            review in one pass.
        fixed_length: pad every review on the right to this many tokens; None pads nothing.
        mask_padding: keep padding out of the result. False reads padding as if it were text, the
            fault of the recipe `classic`; it needs `fixed_length`, without which a prediction
            would depend on the batch.
        ngram_buckets: rows of the hashed n-gram table whose weights are added to the logits; 0
            leaves the channel out.
        ngram_orders: lengths of the n-grams, in word pieces.
        ngram_scale: what the channel's scores are multiplied by before they are added; 0 leaves
            them out, as in the training of the LSTM.
        temperature: what the logits are divided by, so that their softmax is a calibrated
            confidence (Guo et al. 2017, arXiv 1706.04599). 1 while training.
        ordinal: the classes have an order, that of their ids; the model itself computes the same.
        calibration_bias: one number a class, added to the logits once they are divided by the
            temperature; None adds nothing.
        short_temperature: the temperature of short texts, which are calibrated by themselves; None
            calibrates all alike.
        short_bias: likewise, in place of `calibration_bias`; None adds nothing.
        short_tokens: up to how many tokens a text is short, and from how many on it is long; in
            between, it is the less of one and the more of the other along the logarithm.
        abstain_below: the confidence below which a prediction is withheld unless the caller names
            another; 0 withholds none.

    Raises:
        ValueError: a setting is out of its range, or two of them contradict each other.
    """

    model_type = "sentiment-lstm"

    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 128
    num_hidden_layers: int = 1
    bidirectional: bool = True
    word_dropout: float = 0.0
    embedding_dropout: float = 0.0
    hidden_dropout: float = 0.0
    classifier_dropout: float = 0.0
    pooling: str = "mean_max"
    segment_length: int | None = 64
    fixed_length: int | None = None
    mask_padding: bool = True
    ngram_buckets: int = 0
    ngram_orders: list[int] | tuple[int, ...] = (1, 2, 3)
    ngram_scale: float = 0.0
    temperature: float = 1.0
    ordinal: bool = False
    calibration_bias: list[float] | tuple[float, ...] | None = None
    short_temperature: float | None = None
    short_bias: list[float] | tuple[float, ...] | None = None
    short_tokens: list[int] | tuple[int, ...] = (48, 128)
    abstain_below: float = 0.0
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: object) -> None:
        """Check every setting when the configuration is made."""
        super().__post_init__(**kwargs)
        # A tuple becomes a list on its way through JSON; a config equals its saved copy.
        self.ngram_orders = list(self.ngram_orders)
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in (
            "word_dropout",
            "embedding_dropout",
            "hidden_dropout",
            "classifier_dropout",
        ):
            _require(
                0 <= getattr(self, name) < 1, name, getattr(self, name), "from 0 up to below 1"
            )
        for name in ("segment_length", "fixed_length"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "None or at least 1")
        _require(self.pooling in POOLINGS, "pooling", self.pooling, f"one of {', '.join(POOLINGS)}")
        _require(self.temperature > 0, "temperature", self.temperature, "above 0")
        value = self.short_temperature
        _require(value is None or value > 0, "short_temperature", value, "None or above 0")
        for name in ("calibration_bias", "short_bias"):
            self._check_bias(name)
        self.short_tokens = list(self.short_tokens)
        _require(
            len(self.short_tokens) == 2 and 1 <= self.short_tokens[0] < self.short_tokens[1],
            "short_tokens",
            self.short_tokens,
            "two lengths, the second above the first",
        )
        _require(0 <= self.abstain_below <= 1, "abstain_below", self.abstain_below, "from 0 to 1")
        _require(self.ngram_scale >= 0, "ngram_scale", self.ngram_scale, "0 or more")
        _require(self.ngram_buckets >= 0, "ngram_buckets", self.ngram_buckets, "0 or more")
        _require(
            all(order >= 1 for order in self.ngram_orders),
            "ngram_orders",
            self.ngram_orders,
            "lengths of at least 1",
        )
        if self.pooling == "last" and self.segment_length is not None:
            raise ValueError(
                "pooling='last' reads the end of one pass over the review, and "
                f"segment_length={self.segment_length} makes several. Set segment_length to None."
            )
        if not self.mask_padding and self.fixed_length is None:
            raise ValueError(
                "mask_padding=False without fixed_length would make a prediction depend on the "
                "other reviews of its batch. Set fixed_length, or mask_padding to True."
            )

    def _check_bias(self, name: str) -> None:
        bias, classes = getattr(self, name), int(self.num_labels or 2)
        if bias is None:
            return
        _require(
            isinstance(bias, (list, tuple))
            and len(bias) == classes
            and all(type(value) in (int, float) and math.isfinite(value) for value in bias),
            name,
            bias,
            f"None or {classes} finite numbers, one a class",
        )
        setattr(self, name, [float(value) for value in bias])


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}; expected {expected}.")
