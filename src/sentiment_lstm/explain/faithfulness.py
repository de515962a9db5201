"""Are the reasons the model's own? Words are taken out, or put in, in their order.

Deletion: the confidence in the label falls the faster, the better the words that are taken out
first were chosen. Insertion: it rises the faster when they are put in first.

Source: Petsiuk et al. 2018, RISE, arXiv 1806.07421.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.classifier import Explanation, TextClassifier
from sentiment_lstm.explain.occlusion import cut_out
from sentiment_lstm.figures import (
    ACCENT,
    INK,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SHARES", "Faithfulness", "faithfulness", "plot_faithfulness", "random_order"]

SHARES = tuple(round(share / 10, 1) for share in range(11))
_COLOURS = (POSITIVE, NEUTRAL, ACCENT, NEGATIVE)


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """The two curves of one method, and the areas under them."""

    method: str
    texts: int
    deletion: list[float]  # mean confidence in the label, a share of SHARES taken out
    insertion: list[float]  # the same, a share of the words put in
    deletion_area: float  # lower is better
    insertion_area: float  # higher is better
    convergence_delta: float | None = None  # mean distance of the sum from the logit

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def faithfulness(
    classifier: TextClassifier,
    texts: Sequence[str],
    methods: Mapping[str, Callable[[str], Explanation]],
) -> list[Faithfulness]:
    """Follow the confidence in the predicted label as words go and come.

    Args:
        classifier: whose reasons are judged.
        texts: N texts.
        methods: by name, what gives the reasons of a text for its predicted label.
    """
    found = []
    for name, explain in methods.items():
        explanations = [explain(text) for text in texts]
        deleted: list[str] = []
        inserted: list[str] = []
        for text, explanation in zip(texts, explanations, strict=True):
            words = sorted(explanation.words, key=lambda word: -word.score)
            spans = [(word.start, word.end) for word in words]
            for share in SHARES:
                count = round(share * len(spans))
                deleted.append(cut_out(text, spans[:count]))
                inserted.append(cut_out(text, spans[count:]))
        places = np.repeat(
            [classifier.labels.index(explanation.label) for explanation in explanations],
            len(SHARES),
        )
        curves = [
            classifier.predict_proba(changed)[np.arange(len(places)), places]
            .reshape(len(texts), len(SHARES))
            .mean(0)
            for changed in (deleted, inserted)
        ]
        deltas = [
            abs(explanation.convergence_delta)
            for explanation in explanations
            if explanation.convergence_delta is not None
        ]
        found.append(
            Faithfulness(
                method=name,
                texts=len(texts),
                deletion=curves[0].tolist(),
                insertion=curves[1].tolist(),
                deletion_area=_area(curves[0]),
                insertion_area=_area(curves[1]),
                convergence_delta=float(np.mean(deltas)) if deltas else None,
            )
        )
    return found


def random_order(classifier: TextClassifier, *, seed: int = 0) -> Callable[[str], Explanation]:
    """Give reasons that know nothing, the measure of those that claim to."""
    random = np.random.default_rng(seed)

    def explain(text: str) -> Explanation:
        (explanation,) = classifier.explain([text])
        scores = random.permutation(len(explanation.words))
        words = [
            replace(word, score=float(score))
            for word, score in zip(explanation.words, scores, strict=True)
        ]
        return replace(explanation, words=words, method="random")

    return explain


def plot_faithfulness(results: Sequence[Faithfulness], path: Path) -> None:
    """Draw both curves of every method."""
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_curves(left, results, "deletion", verb="taken out")
    _draw_curves(right, results, "insertion", verb="put in")
    left.set_ylabel("mean confidence in the label", color=INK, fontsize=9.5)
    left.set_ylim(0, 1.04)
    save_figure(figure, path)


def _draw_curves(axes: Axes, results: Sequence[Faithfulness], kind: str, *, verb: str) -> None:
    style_axes(axes, xlabel=f"share of the words {verb}, strongest first", title=kind.capitalize())
    for result, colour in zip(results, itertools.cycle(_COLOURS)):
        label = f"{result.method} ({getattr(result, f'{kind}_area'):.3f})"
        axes.plot(SHARES, getattr(result, kind), "o-", color=colour, label=label, markersize=4)
    legend = axes.legend(
        title="area under the curve", frameon=False, fontsize=9, labelcolor=INK, alignment="left"
    )
    legend.get_title().set(color=INK, fontsize=9)


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, SHARES))
