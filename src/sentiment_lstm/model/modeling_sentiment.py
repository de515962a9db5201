"""Embedding, LSTM, Linear: the sentiment classifier, as a model of `transformers`.

Shapes: B reviews, T tokens, S segments of a review, W tokens of a segment, R segments of the whole
batch that hold text, E embedding, H hidden, D directions, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from .configuration_sentiment import SentimentConfig
from .ngram_channel import NgramChannel
from .pooling import last_state, max_over_segments, mean_over_segments, sum_and_max
from .segment_lstm import (
    SegmentLSTM,
    Segments,
    pad_to_common_shape,
    split_evenly,
    split_into_segments,
)
from .token_scores import in_reading_order, max_token_scores, mean_token_scores


class SentimentModel(PreTrainedModel):
    """Classify reviews: embed the tokens, read them with an LSTM, pool its states, weigh them.

    A long review is split into equal segments that stand side by side in the batch, so that the
    LSTM takes `segment_length` steps instead of one a token (Johnson & Zhang 2016,
    arXiv 1602.02373). Padding never moves a prediction unless `config.mask_padding` is False.
    """

    config_class = SentimentConfig
    base_model_prefix = ""
    main_input_name = "input_ids"

    def __init__(self, config: SentimentConfig) -> None:
        super().__init__(config)
        self.num_labels = int(config.num_labels or 2)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.encoder = SegmentLSTM(
            config.embedding_size,
            config.hidden_size,
            num_layers=config.num_hidden_layers,
            bidirectional=config.bidirectional,
            dropout=config.hidden_dropout,
        )
        self.attention = (
            nn.Linear(self.encoder.output_size, 1) if config.pooling == "attention" else None
        )
        self.dropout = nn.Dropout(config.classifier_dropout)
        pooled_size = self.encoder.output_size * (2 if config.pooling == "mean_max" else 1)
        self.classifier = nn.Linear(pooled_size, self.num_labels)
        self.ngrams = (
            NgramChannel(config.ngram_buckets, list(config.ngram_orders), self.num_labels)
            if config.ngram_buckets
            else None
        )
        # What a training does to the embedded segments of a batch; no property of the weights.
        self.perturb: Callable[[Tensor, Segments], Tensor] | None = None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Give the token embedding, as `transformers` asks of every model."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put another token embedding in its place."""
        self.embedding = cast(nn.Embedding, value)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Score a batch of tokenized reviews.

        Args:
            input_ids: (B, T) int64.
            attention_mask: (B, T), 1 at tokens and 0 at padding; None takes every token as text.
                Padding stands on the right.
            labels: class ids (B,) int64, or the probability of every class (B, C) float; with them
                the cross-entropy is returned as well.
            token_type_ids: ignored; BERT's tokenizers hand them over.

        Returns:
            `logits` (B, C) float32, divided by :meth:`temperatures` and with the configuration's
            bias added, and `loss`, their cross-entropy, where labels are.

        Raises:
            ValueError: a review has no token, or padding stands before one; or the labels are
                neither class ids nor probabilities.
        """
        del token_type_ids
        input_ids, text_mask = self._frame(input_ids, attention_mask)
        pooled = self.dropout(self.pool(input_ids, text_mask))
        logits = self.score(pooled, input_ids, text_mask)  # (B, C)
        if labels is not None:
            self._check_labels(labels, logits)
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def encode(self, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Read every review with the LSTM, segment by segment.

        Args:
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            States (B, S * W, D * H) float32 and their mask (B, S * W) bool, in reading order.
        """
        segments = self._segments(input_ids, mask)
        states = self.encoder(self._embed(segments), segments.rows_mask)  # (R, W, D * H)
        width = segments.mask.shape[2]
        grid = segments.spread(states[:, :width].float())  # (B, S, W, D * H)
        return grid.flatten(1, 2), segments.mask.flatten(1)

    def pool(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Make one vector of the states of each review, padding left out.

        Args:
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            (B, D * H) float32, or (B, 2 * D * H) for `mean_max`.
        """
        pooling = self.config.pooling
        if pooling == "last":
            states, mask = self.encode(input_ids, mask)
            return last_state(states, mask, bidirectional=self.config.bidirectional)
        if pooling == "attention":
            states, mask = self.encode(input_ids, mask)
            return torch.einsum("bn,bnh->bh", self.attend(states, mask), states)
        segments = self._segments(input_ids, mask)
        # Neither sum nor maximum asks for an order, so the states stay as each direction read them.
        parts = self.encoder.directions(
            self._embed(segments),
            segments.rows_mask,
            then=lambda _, states: sum_and_max(states, segments.rows_mask),
        )
        sums, maxima = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))  # (R, D * H)
        mean = mean_over_segments(segments.spread(sums), mask.sum(1))
        if pooling == "mean":
            return mean
        largest = max_over_segments(segments.spread(maxima, empty=-torch.inf))
        return largest if pooling == "max" else torch.cat([mean, largest], dim=1)

    @property
    def additive(self) -> bool:
        """Whether the logits are a sum over tokens, which :meth:`token_scores` can take apart."""
        return self.config.pooling != "last" and self.config.mask_padding

    def token_scores(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Score a batch of reviews, and what each token adds.

        Args:
            input_ids: (B, T) int64.
            attention_mask: as in :meth:`forward`.

        Returns:
            `logits` (B, C) float32, and scores (B, T, C) float32, 0 at padding, whose sum over T
            differs from the logits by the same numbers for every review: the model's biases.

        Raises:
            ValueError: the model is not :attr:`additive`.
        """
        if not self.additive:
            raise ValueError(
                f"pooling={self.config.pooling!r} with mask_padding={self.config.mask_padding} is "
                "no sum over tokens. Explain it by occlusion or by gradients."
            )
        input_ids, mask = self._frame(input_ids, attention_mask)
        states, states_mask = self.encode(input_ids, mask)
        pooled, scores = self.score_tokens(states, states_mask, input_ids, mask)
        return self.score(pooled, input_ids, mask), scores

    def score(self, pooled: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
        """Make logits of the pooled states and of the n-grams, and calibrate them.

        Args:
            pooled: as :meth:`pool` gives them.
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            (B, C) float32.
        """
        logits = self.classifier(pooled)
        if self.ngrams is not None and self.config.ngram_scale > 0:
            logits = logits + self.config.ngram_scale * self.ngrams(input_ids, mask)
        logits = logits / self.temperatures(mask)
        bias, config = self._bias(self.config.calibration_bias, logits), self.config
        if config.short_temperature is not None:
            bias = torch.lerp(bias, self._bias(config.short_bias, logits), self._shortness(mask))
        return logits + bias

    def temperatures(self, mask: Tensor) -> Tensor:
        """What the logits of each text are divided by, which may depend on its length.

        Args:
            mask: (B, T) bool, True at tokens.

        Returns:
            (B, 1) float32, or (1, 1) if it is the same for all.
        """
        temperature, short = self.config.temperature, self.config.short_temperature
        if short is None:
            return torch.full((1, 1), temperature, device=mask.device)
        shortness = self._shortness(mask)
        return 1 / (shortness / short + (1 - shortness) / temperature)

    def score_tokens(
        self, states: Tensor, states_mask: Tensor, input_ids: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pool states, and take what :meth:`score` makes of them and of the n-grams apart again.

        Args:
            states: (B, N, D * H) float32, in reading order.
            states_mask: (B, N) bool, True at tokens.
            input_ids: (B, T) int64.
            mask: (B, T) bool, True at tokens, which stand on the left.

        Returns:
            The pooled states, as :meth:`pool` gives them, and scores (B, T, C).
        """
        pooled, scores = self._pooled_token_scores(states, states_mask)
        scores = in_reading_order(scores, states_mask, input_ids.shape[1])  # (B, T, C)
        if self.ngrams is not None and self.config.ngram_scale > 0:
            scores = scores + self.config.ngram_scale * self.ngrams.token_scores(input_ids, mask)
        return pooled, scores / self.temperatures(mask).unsqueeze(2)

    def attend(self, states: Tensor, mask: Tensor) -> Tensor:
        """Weigh the tokens of each review: (B, N, D * H) -> (B, N), which sum to 1."""
        assert self.attention is not None
        scores = self.attention(states).squeeze(2)  # (B, N)
        return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=1)

    def computed_tokens(self, lengths: Tensor) -> int:
        """Count the steps that the LSTM takes for a batch, those on padding included.

        Args:
            lengths: (B,) int64, tokens a review.
        """
        longest = int(lengths.max())
        if self.config.fixed_length is not None and not self.config.mask_padding:
            lengths = lengths.clamp(min=self.config.fixed_length)
            longest = self.config.fixed_length
        _, mask = split_evenly(lengths, self.config.segment_length or longest)
        rows = mask.flatten(0, 1)
        rows = rows[rows.any(1)]
        return pad_to_common_shape(rows.long(), rows)[0].numel()

    def _frame(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Check the mask, and pad to the fixed length where the configuration has one."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mask = mask.bool()
        missing = (self.config.fixed_length or 0) - input_ids.shape[1]
        if missing > 0:
            input_ids = functional.pad(input_ids, (0, missing), value=self.config.pad_token_id)
            mask = functional.pad(mask, (0, missing), value=False)
        if not self.config.mask_padding:
            # Read as text, padding is always the same token, whatever the caller padded with.
            return input_ids.where(mask, self.config.pad_token_id), torch.ones_like(mask)
        lengths = mask.sum(1)
        if not torch.compiler.is_compiling():
            if (lengths == 0).any():
                row = int((lengths == 0).nonzero()[0])
                raise ValueError(f"Review {row} of the batch has no token.")
            ends = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)
            if (ends != lengths).any():
                row = int((ends != lengths).nonzero()[0])
                raise ValueError(
                    f"Review {row} of the batch has padding before a token; pad right."
                )
        return input_ids, mask

    def _pooled_token_scores(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Pool states (B, N, D * H), and give their scores (B, N, C) with the result."""
        weight = self.classifier.weight
        pooling = self.config.pooling
        pooled, scores, size = [], [], states.shape[2]
        if pooling != "max":
            if pooling == "attention":
                shares = self.attend(states, mask)
            else:
                shares = mask.to(states.dtype) / mask.sum(1, keepdim=True)  # (B, N)
            pooled.append(torch.einsum("bn,bnh->bh", shares, states))
            scores.append(mean_token_scores(states, shares, weight[:, :size]))
        if pooling in ("max", "mean_max"):
            pooled.append(states.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(1))
            scores.append(max_token_scores(states, mask, weight[:, -size:]))
        return torch.cat(pooled, dim=1), torch.stack(scores).sum(0)

    def _shortness(self, mask: Tensor) -> Tensor:
        """How far each text is a short one, from 0 to 1: (B, T) -> (B, 1)."""
        short, long = self.config.short_tokens
        lengths = mask.sum(1, keepdim=True).clamp(min=1).float()
        return ((math.log(long) - lengths.log()) / math.log(long / short)).clamp(0, 1)

    def _bias(self, bias: Sequence[float] | None, like: Tensor) -> Tensor:
        return like.new_tensor([0.0] * like.shape[1] if bias is None else list(bias))  # (C,)

    def _check_labels(self, labels: Tensor, logits: Tensor) -> None:
        """Refuse what the cross-entropy would misread, or refuse in words of its own."""
        if labels.dtype == torch.int64 and labels.shape == logits.shape[:1]:
            return
        if not labels.is_floating_point() or labels.shape != logits.shape:
            size, classes = logits.shape
            raise ValueError(
                f"The labels are {tuple(labels.shape)} {labels.dtype}; expected class ids "
                f"({size},) torch.int64, or the probability of every class ({size}, {classes}) of "
                "a floating-point type."
            )
        if not torch.compiler.is_compiling():
            # A hundredth, because rows that were kept in half precision do not sum to 1 exactly.
            proper = (labels >= 0).all(1) & ((labels.float().sum(1) - 1).abs() < 0.01)
            if not proper.all():
                row = int((~proper).nonzero()[0])
                raise ValueError(
                    f"The labels of review {row} of the batch are {labels[row].tolist()}; expected "
                    "probabilities, 0 or more and 1 in sum."
                )

    def _segments(self, input_ids: Tensor, mask: Tensor) -> Segments:
        return split_into_segments(
            input_ids, mask, segment_length=self.config.segment_length or input_ids.shape[1]
        )

    def _embed(self, segments: Segments) -> Tensor:
        embedded = self.embedding(segments.rows)  # (R, W, E)
        if self.perturb is not None:
            embedded = self.perturb(embedded, segments)
        if self.training and self.config.word_dropout > 0:
            kept = torch.rand(embedded.shape[:2], device=embedded.device)
            embedded = embedded * (kept >= self.config.word_dropout).unsqueeze(2)
        return self.embedding_dropout(embedded)

    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own starting values: the notebook's model had these, and the small normal of
        # `transformers` starts an LSTM too close to zero.
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, nn.LSTM):
            for parameter in module.parameters():
                init.uniform_(parameter, -(module.hidden_size**-0.5), module.hidden_size**-0.5)
        elif isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                init.uniform_(module.bias, -bound, bound)
