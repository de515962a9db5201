"""Are the reasons the model's own? Words are taken out, or put in, in their order.

Deletion: the confidence in the label falls the faster, the better the words that are taken out
first were chosen. Insertion: it rises the faster when they are put in first.

Source: Petsiuk et al. 2018, RISE, arXiv 1806.07421.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.classifier import Explanation, TextClassifier
from sentiment_lstm.text import is_blank

__all__ = ["SHARES", "Faithfulness", "faithfulness", "plot_faithfulness", "random_order"]

SHARES = tuple(round(share / 10, 1) for share in range(11))
_NOTHING = "."


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
                deleted.append(_without(text, spans[:count]))
                inserted.append(_without(text, spans[count:]))
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
            type(word)(start=word.start, end=word.end, text=word.text, score=float(score))
            for word, score in zip(explanation.words, scores, strict=True)
        ]
        return Explanation(**{**vars(explanation), "words": words, "method": "random"})

    return explain


def plot_faithfulness(results: Sequence[Faithfulness], path: Path) -> None:
    """Draw both curves of every method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained", dpi=150)
    for axes, kind in zip(
        figure.subplots(1, 2, sharey=True), ("deletion", "insertion"), strict=True
    ):
        for result in results:
            area = getattr(result, f"{kind}_area")
            label = f"{result.method} ({area:.3f})"
            axes.plot(SHARES, getattr(result, kind), marker="o", markersize=3, label=label)
        verb = "taken out" if kind == "deletion" else "put in"
        axes.set_xlabel(f"share of the words {verb}, strongest first")
        axes.set_title(kind.capitalize(), loc="left")
        axes.grid(alpha=0.3)
        axes.legend(title="area under the curve", frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("confidence in the label")
    figure.savefig(path)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    kept, end = [], 0
    for start, stop in sorted(spans):
        kept.append(text[end:start])
        end = stop
    rest = "".join([*kept, text[end:]])
    return _NOTHING if is_blank(rest) else rest


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, SHARES))
