"""A classifier and behavioural cases in, pass rates with intervals and the failures out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm.behaviour.cases import LABELS, BehaviourCase, load_cases
from sentiment_lstm.errors import ModelError
from sentiment_lstm.metrics import wilson_interval

if TYPE_CHECKING:
    from sentiment_lstm.evaluation import TextClassifier

__all__ = ["BehaviourFailure", "BehaviourReport", "CapabilityResult", "check_behaviour"]

# What float32 sums in another order may differ by: texts of other lengths share other batches.
_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class CapabilityResult:
    """How many cases of one capability a classifier passes."""

    capability: str
    about: str
    cases: int
    passed: int
    pass_rate: float
    pass_interval: tuple[float, float]  # 95 %, Wilson


@dataclass(frozen=True, kw_only=True)
class BehaviourFailure:
    """A case that a classifier does not pass."""

    capability: str
    kind: str
    texts: list[str]  # one, or a pair
    expected: str  # in words, as `found`
    found: str
    positive: list[float]  # the probability of positive, for each text


@dataclass(frozen=True, kw_only=True)
class BehaviourReport:
    """All that the behavioural cases say of one classifier; shares run from 0 to 1."""

    cases: int
    passed: int
    pass_rate: float
    pass_interval: tuple[float, float]  # 95 %, Wilson
    capabilities: list[CapabilityResult]
    failures: list[BehaviourFailure]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def check_behaviour(
    classifier: TextClassifier, cases: Sequence[BehaviourCase] | None = None
) -> BehaviourReport:
    """Ask a classifier of the labels negative and positive for every case.

    A text of the kind `minimum functionality` is passed if its label is the more probable one; a
    `directional` pair, if the probability of the label moves as the case says; an `invariance`
    pair, if the label stays. The last asks for no particular label, so a classifier that always
    gives the same one passes it.

    Args:
        classifier: as `sentiment_lstm.load` gives it, or anything with `labels` and
            `predict_proba`.
        cases: those of `load_cases()` if left out.

    Raises:
        ModelError: the classifier has other labels, or gives something other than probabilities.
        ValueError: there are no cases.
    """
    cases = load_cases() if cases is None else list(cases)
    if not cases:
        raise ValueError("Expected at least one case, got none.")
    positive = _positive_probabilities(classifier, cases)
    failures = []
    for case in cases:
        failure = _failure(case, [positive[text] for text in case.texts])
        if failure is not None:
            failures.append(failure)
    return BehaviourReport(
        cases=len(cases),
        passed=len(cases) - len(failures),
        pass_rate=1 - len(failures) / len(cases),
        pass_interval=wilson_interval(len(cases) - len(failures), len(cases)),
        capabilities=_by_capability(cases, failures),
        failures=failures,
    )


def _positive_probabilities(
    classifier: TextClassifier, cases: Sequence[BehaviourCase]
) -> dict[str, float]:
    """The probability of positive for every text, each of them asked for once."""
    names = list(classifier.labels)
    if sorted(names) != sorted(LABELS):
        raise ModelError(
            "The behavioural cases are for classifiers of the labels 'negative' and 'positive'; "
            f"this one has {', '.join(map(repr, names))}. Train one on reviews with those labels."
        )
    texts = list(dict.fromkeys(text for case in cases for text in case.texts))
    probabilities: NDArray[np.float64] = np.asarray(
        classifier.predict_proba(texts), dtype=np.float64
    )
    if probabilities.shape != (len(texts), len(names)) or not np.isfinite(probabilities).all():
        raise ModelError(
            f"The model gives something other than {len(names)} probabilities for each of the "
            f"{len(texts)} texts. Its weights are damaged: copy or train it again."
        )
    return dict(zip(texts, probabilities[:, names.index("positive")].tolist(), strict=True))


def _failure(case: BehaviourCase, positive: list[float]) -> BehaviourFailure | None:
    """What the classifier did instead of what the case asks, or None if it did that."""
    labels = [LABELS[share > 0.5] for share in positive]
    if case.kind == "minimum functionality":
        passed = labels[0] == case.label
        expected, found = case.label, f"{labels[0]} at {max(positive[0], 1 - positive[0]):.1%}"
    elif case.kind == "directional":
        # Towards the label that both texts have, from the weaker to the stronger one.
        step = (positive[1] - positive[0]) * (1 if case.label == "positive" else -1)
        passed = step > _TOLERANCE if case.detail == "above" else step >= -_TOLERANCE
        low = {"above": "more", "at least": "no less"}[case.detail]
        expected = f"the second is {low} {case.label}"
        found = f"positive at {positive[0]:.1%}, then {positive[1]:.1%}"
    else:
        passed = labels[0] == labels[1]
        expected = (
            f"the same label, whatever the {case.detail}" if case.detail else "the same label"
        )
        found = f"{labels[0]}, then {labels[1]}"
    if passed:
        return None
    return BehaviourFailure(
        capability=case.capability,
        kind=case.kind,
        texts=list(case.texts),
        expected=expected,
        found=found,
        positive=positive,
    )


def _by_capability(
    cases: Sequence[BehaviourCase], failures: Sequence[BehaviourFailure]
) -> list[CapabilityResult]:
    results = []
    for name in dict.fromkeys(case.capability for case in cases):
        ours = [case for case in cases if case.capability == name]
        passed = len(ours) - sum(failure.capability == name for failure in failures)
        results.append(
            CapabilityResult(
                capability=name,
                about=ours[0].about,
                cases=len(ours),
                passed=passed,
                pass_rate=passed / len(ours),
                pass_interval=wilson_interval(passed, len(ours)),
            )
        )
    return results
