"""Integrated gradients of each word: the judge of the contributions, and slower by far."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sentiment_lstm.classifier import Explanation, word_scores
from sentiment_lstm.errors import ModelError
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.prediction import Classifier

__all__ = ["integrated_gradients"]

_STEPS = 32


def integrated_gradients(
    classifier: Classifier, text: str, *, label: str | None = None, steps: int = _STEPS
) -> Explanation:
    """Score the words by the gradient of the logit, integrated from padding to the text.

    The n-grams, which have no embedding, keep their exact contributions.

    Args:
        classifier: on PyTorch.
        text: to explain.
        label: the class; None for the predicted one.
        steps: of the integral.

    Returns:
        An explanation with its `convergence_delta`, the part of the logit that the sum misses.

    Raises:
        ModelError: the model is of a pooling that reads padding as text.

    Source: Sundararajan et al. 2017, arXiv 1703.01365, by Captum, on the embedded tokens.
    """
    from captum.attr import IntegratedGradients

    model = classifier.model
    if not model.config.mask_padding:
        raise ModelError("Integrated gradients need a model that masks padding. Use occlusion.")
    encoding = classifier.encode(text)
    ids = torch.tensor([encoding["input_ids"]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        logits = model(ids).logits[0].double().numpy()
        ngrams = torch.zeros(1, ids.shape[1], model.num_labels)
        if model.ngrams is not None and model.config.ngram_scale > 0:
            ngrams = model.config.ngram_scale * model.ngrams.token_scores(ids, mask)
    (prediction,) = classifier.predict([text])
    label = label or prediction.label
    temperature = float(model.temperatures(mask))
    target = classifier.labels.index(label)

    def margin(embedded: Tensor) -> Tensor:
        # Each interpolated token is a row of a table of its own, which stands in for the model's:
        # so its segments are cut as ever, and the gradients come back in reading order.
        size, length = embedded.shape[:2]
        rows = torch.arange(size * length).view(size, length)
        weights = {"model.embedding.weight": embedded.flatten(0, 1)}
        scores = functional_call(pooled, weights, (rows, mask.expand(size, -1)))  # (B, C)
        others = (scores.sum(1) - scores[:, target]) / (scores.shape[1] - 1)
        return (scores[:, target] - others) / temperature

    pooled = _Pooled(model)
    embedded = model.embedding(ids).detach()  # (1, T, E)
    nothing = model.embedding(torch.full_like(ids, model.config.pad_token_id or 0)).detach()
    attributed, delta = IntegratedGradients(margin).attribute(
        embedded,
        baselines=nothing,
        n_steps=steps,
        internal_batch_size=8,
        return_convergence_delta=True,
    )
    fixed = ngrams[0].double().numpy() / temperature  # (T, C)
    scores = attributed.sum(2)[0].detach().double().numpy() + classifier.margin(fixed, label)
    return classifier.explanation(
        prediction=prediction,
        label=label,
        method="gradients",
        logits=logits,
        words=word_scores(text, scores, encoding["offset_mapping"], encoding.word_ids()),
        convergence_delta=float(delta[0]),
    )


class _Pooled(nn.Module):
    """The LSTM's part of the logits, before the temperature."""

    def __init__(self, model: SentimentModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        return self.model.classifier(self.model.pool(input_ids, mask))
