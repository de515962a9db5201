"""Adversarial training: a batch is read twice, the second time with its words made harder.

The embeddings of a review are moved a little way in the direction in which its loss rises fastest
(Miyato, Dai & Goodfellow 2017, arXiv 1605.07725). Where the targets are what a teacher says of
unlabelled text, this is their virtual adversarial training with the teacher in the model's place.

Shapes: R segments of a batch, W tokens of a segment, E embedding, B reviews.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sentiment_lstm.model.segment_lstm import Segments

__all__ = ["Adversary"]


class Adversary:
    """Finds out from one reading of a batch how to make the next one harder.

    Args:
        epsilon: the length of a review's perturbation, all of its tokens taken together, in lengths
            of a token's embedding. In these units, since those lengths are learnt as well.
    """

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon
        self._embedded: Tensor | None = None
        self._gradient: Tensor | None = None
        self._segments: Segments | None = None

    def listen(self, embedded: Tensor, segments: Segments) -> Tensor:
        """Leave the embeddings as they are, and note their gradient: (R, W, E) -> (R, W, E)."""
        self._embedded, self._segments = embedded.detach(), segments
        embedded.register_hook(self._note)
        return embedded

    def disturb(self, embedded: Tensor, segments: Segments) -> Tensor:
        """Move the embeddings of the same batch against the model: (R, W, E) -> (R, W, E)."""
        del segments
        return embedded + self.perturbation()

    def perturbation(self) -> Tensor:
        """How the embeddings are moved, (R, W, E) float32; 0 at padding.

        Raises:
            RuntimeError: there was no backward pass since the batch was listened to.
        """
        gradient, embedded, segments = self._gradient, self._embedded, self._segments
        if gradient is None or embedded is None or segments is None:
            raise RuntimeError("There was no backward pass since the batch was listened to.")
        rows = len(segments.full)
        squares = gradient[:rows].square().sum((1, 2))  # of the rows that hold text
        sums = squares.new_zeros(len(segments.mask)).index_add(0, segments.reviews, squares)
        lengths = sums[segments.reviews].sqrt()
        token = embedded.square().sum(2)[segments.rows_mask].mean().sqrt()
        moved = torch.zeros_like(gradient)
        smallest = torch.finfo(lengths.dtype).tiny  # a review that nothing can be learnt of
        scale = self._epsilon * token / lengths.clamp(min=smallest)
        moved[:rows] = gradient[:rows] * scale[:, None, None]
        return moved

    def _note(self, gradient: Tensor) -> None:
        self._gradient = gradient.detach()
