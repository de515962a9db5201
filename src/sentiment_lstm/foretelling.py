"""Words foretold from the words before and behind them: the loss of a pre-training.

Shapes: R segments of a batch, W tokens of a segment, E embedding, H hidden, V word pieces, K
negatives, A words ahead, N = R * W.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sentiment_lstm.model import SentimentModel
from sentiment_lstm.model.segment_lstm import pad_to_common_shape, reverse_within_length
from sentiment_lstm.recipes.settings import PretrainingSettings

__all__ = ["Foretelling"]

_EMBEDDING_DROPOUT = 0.1
# Words more frequent than this are targets less often: the share at which word2vec begins to leave
# words out, and by the same square root.
_FREQUENT = 1e-3
_NEGATIVES_POWER = 0.75


class Foretelling(nn.Module):
    """Foretell words from the states of both directions, each told from words drawn at random.

    `language_model` foretells the next word piece (Dai & Le 2015, arXiv 1511.01432); `region` all
    of the next few, whatever their order, with frequent words counting less (the two-view training
    of Johnson & Zhang 2016, arXiv 1602.02373, with a sampled softmax, Jean et al. 2015, in place of
    their squared loss). Going backward, the next ones are those before.

    Args:
        model: its embedding and encoder are trained in place, of the latter the layers that have
            not read the words to foretell; the rest is left alone.
        counts: (V,) how often each word piece occurs in the texts.
        settings: the recipe's.
    """

    drawn: Tensor
    weight: Tensor

    def __init__(
        self, model: SentimentModel, counts: NDArray[np.int64], settings: PretrainingSettings
    ) -> None:
        super().__init__()
        self.embedding = model.embedding
        self.encoder = model.encoder.causal()  # a word that was read is no word to foretell
        embedding_size, hidden_size = model.config.embedding_size, model.config.hidden_size
        directions = 2 if model.config.bidirectional else 1
        self.heads = nn.ModuleList(
            nn.Linear(hidden_size, embedding_size) for _ in range(directions)
        )
        # Words foretold have vectors of their own, which start near those of the words read.
        self.targets = nn.Embedding.from_pretrained(
            model.embedding.weight.detach().clone() / embedding_size**0.25, freeze=False
        )
        share = torch.from_numpy(np.maximum(counts, 1e-3) / counts.sum()).float()
        self.bias = nn.Parameter(share.log())
        self.distance = settings.distance_tokens if settings.objective == "region" else 1
        self.negatives = min(settings.negatives, int((counts > 0).sum()))
        drawn = torch.from_numpy(counts / counts.sum()).float() ** _NEGATIVES_POWER
        self.register_buffer("drawn", drawn / drawn.sum(), persistent=False)
        weight = torch.ones_like(share)
        if settings.objective == "region":
            weight = (_FREQUENT / share).sqrt().clamp(max=1.0)
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Give the mean loss, in nats a word foretold.

        Each word is told from the negatives, not from the other words of its own region. The
        logarithm of how often a word is drawn is taken off its score, so that in the mean the loss
        is that of the whole vocabulary.

        Args:
            input_ids: (R, W) int64, segments of texts.
            attention_mask: (R, W), 1 at tokens.
        """
        input_ids, mask = pad_to_common_shape(input_ids, attention_mask.bool())
        embedded = functional.dropout(
            self.embedding(input_ids), _EMBEDDING_DROPOUT, training=self.training
        )
        negatives = torch.multinomial(self.drawn, self.negatives)  # (K,), none twice
        # Looked up together, because every look-up has a gradient as large as the table.
        vectors = self.targets(torch.cat([input_ids.flatten(), negatives]))
        words, drawn = vectors[: -len(negatives)], vectors[-len(negatives) :]  # (N, E), (K, E)
        words = words.unflatten(0, input_ids.shape)  # (R, W, E)
        offset = self.bias - (self.drawn * self.negatives).clamp(min=1e-12).log()  # (V,)
        is_negative = torch.zeros_like(offset, dtype=torch.bool).index_fill_(0, negatives, True)

        def foretell(direction: int, read: Tensor, *learnt: Tensor) -> tuple[Tensor, Tensor]:
            words, drawn, offset = learnt
            low = read.dtype == torch.bfloat16
            with torch.autocast(read.device.type, dtype=torch.bfloat16, enabled=low):
                foretold = self.heads[direction](read)  # (R, W, E), in the order in which it read
            rest = _LogSumExp.apply(
                foretold.flatten(0, 1), drawn.to(foretold.dtype), offset[negatives]
            )
            rest = rest.view(*input_ids.shape, 1)  # type: ignore[union-attr]
            places, inside = self._places_ahead(mask, direction)  # (R, W, A)
            target = input_ids.gather(1, places.flatten(1)).view_as(places)
            # With every word of the segment, though only those ahead are asked for: one product of
            # matrices takes less time than a sum for each distance.
            score = torch.bmm(foretold.float(), words.transpose(1, 2)).gather(2, places)
            score = score + offset[target]
            # A target that was drawn as a negative is in the sum already.
            every = torch.where(is_negative[target], rest, torch.logaddexp(rest, score))
            weight = self.weight[target] * inside
            return ((every - score) * weight).sum(), weight.sum()

        losses = self.encoder.directions(
            embedded,
            mask,
            then=foretell,
            also=[words, drawn, offset],
            parameters=list(self.heads.parameters()),
        )
        total, weights = (torch.stack(part).sum() for part in zip(*losses, strict=True))
        return {"loss": total / weights.clamp(min=1e-6)}

    def _places_ahead(self, mask: Tensor, direction: int) -> tuple[Tensor, Tensor]:
        """Give where the words ahead stand in the text, (R, W, A), and whether there is one."""
        ahead = torch.arange(1, self.distance + 1, device=mask.device)
        if direction == 0:
            places = torch.arange(mask.shape[1], device=mask.device)[:, None] + ahead  # (W, A)
            places = places.expand(len(mask), -1, -1)
        else:
            places = reverse_within_length(mask)[:, :, None] - ahead
        inside = (places >= 0) & (places < mask.sum(1)[:, None, None]) & mask[:, :, None]
        return places.clamp(0, mask.shape[1] - 1), inside


class _LogSumExp(torch.autograd.Function):
    """log(sum(exp(foretold @ vectors.T + offset))), with one tensor of that size kept.

    Automatic differentiation kept three of them in float32, and took twice as long.
    """

    @staticmethod
    def forward(ctx: Any, foretold: Tensor, vectors: Tensor, offset: Tensor) -> Tensor:  # noqa: ANN401
        scores = (foretold @ vectors.T).float().add_(offset)  # (N, K)
        probabilities = scores.softmax(1)
        ctx.save_for_backward(foretold, vectors, probabilities.to(foretold.dtype))
        # What the softmax has divided by, seen from the largest score, whose share is no 0.
        return scores.amax(1) - probabilities.amax(1).log()  # (N,)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        foretold, vectors, probabilities = ctx.saved_tensors
        of_scores = probabilities * gradients[0].to(probabilities.dtype).unsqueeze(1)  # (N, K)
        of_offset = of_scores.sum(0, dtype=torch.float32)
        return of_scores @ vectors, of_scores.T @ foretold, of_offset
