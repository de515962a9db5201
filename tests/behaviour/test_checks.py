"""Pass rates count what was passed, and a failure says what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from datasets import DatasetDict

from sentiment_lstm.behaviour import BehaviourCase, check_behaviour, load_cases
from sentiment_lstm.errors import ModelError
from sentiment_lstm.metrics import wilson_interval
from tests.real_classifiers import TfidfClassifier, labelled


class Scripted:
    """A classifier that gives the probability of positive that a function says."""

    def __init__(self, positive: Callable[[str], float], labels: tuple[str, ...] = ()) -> None:
        self.labels = list(labels or ("negative", "positive"))
        self.positive = positive
        self.asked: list[str] = []

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        shares = np.array([self.positive(text) for text in texts])
        columns = {"negative": 1 - shares, "positive": shares}
        return np.stack([columns[name] for name in self.labels], axis=1)


def case(kind: str, *texts: str, label: str = "positive", detail: str = "") -> BehaviourCase:
    return BehaviourCase(
        capability="c", about="", kind=kind, label=label, texts=texts, detail=detail
    )


def passes(one: BehaviourCase, **positive: float) -> bool:
    return not check_behaviour(Scripted(lambda text: positive[text]), [one]).failures


def test_a_reader_who_knows_every_answer_passes_and_one_who_errs_always_fails():
    cases = load_cases()
    truth = {text: float(one.label == "positive") for one in cases for text in one.texts}
    # The stronger text of a pair lies further out.
    for one in cases:
        if one.kind == "directional":
            truth[one.texts[0]] = 0.6 if one.label == "positive" else 0.4
    knowing = check_behaviour(Scripted(truth.__getitem__), cases)
    assert (knowing.pass_rate, knowing.failures) == (1.0, [])
    asked = [one for one in cases if one.kind != "invariance"]
    erring = check_behaviour(Scripted(lambda text: 1 - truth[text]), asked)
    assert erring.passed == 0
    assert len(erring.failures) == len(asked)


@pytest.mark.parametrize("always", [0.0, 0.3, 0.9])
def test_who_always_says_the_same_gets_half_of_what_has_an_answer(always: float):
    report = check_behaviour(Scripted(lambda text: always))
    rates = {result.capability: result.pass_rate for result in report.capabilities}
    assert [rates[name] for name in ("plain", "negation", "contrast")] == [0.5] * 3
    above = [one for one in load_cases() if one.detail == "above"]
    pairs = [one for one in load_cases() if one.kind == "directional"]
    assert rates["intensity"] == 1 - len(above) / len(pairs)
    assert rates["invariance"] == 1


def test_the_rates_and_their_intervals_are_those_of_the_cases():
    cases = load_cases()
    report = check_behaviour(Scripted(lambda text: 0.8), cases)
    assert report.cases == len(cases) == sum(one.cases for one in report.capabilities)
    assert report.passed == sum(one.passed for one in report.capabilities)
    assert report.passed + len(report.failures) == report.cases
    for one in [report, *report.capabilities]:
        assert one.pass_rate == one.passed / one.cases
        assert one.pass_interval == wilson_interval(one.passed, one.cases)


@pytest.mark.parametrize(
    ("label", "detail", "weaker", "stronger", "passed"),
    [
        ("positive", "at least", 0.7, 0.7, True),
        ("positive", "at least", 0.7, 0.8, True),
        ("positive", "at least", 0.7, 0.6, False),
        ("positive", "above", 0.7, 0.7, False),
        ("positive", "above", 0.2, 0.3, True),
        ("negative", "at least", 0.3, 0.3, True),
        ("negative", "at least", 0.3, 0.4, False),
        ("negative", "above", 0.3, 0.2, True),
        ("negative", "above", 0.3, 0.3, False),
    ],
)
def test_a_stronger_word_moves_the_confidence_its_own_way(
    label: str, detail: str, weaker: float, stronger: float, passed: bool
):
    one = case("directional", "weak", "strong", label=label, detail=detail)
    assert passes(one, weak=weaker, strong=stronger) is passed


def test_an_invariant_pair_asks_for_one_label_and_not_for_which():
    one = case("invariance", "a", "b", label="positive", detail="names")
    assert passes(one, a=0.9, b=0.6)
    assert passes(one, a=0.1, b=0.4)
    assert not passes(one, a=0.6, b=0.4)


def test_a_failure_tells_the_texts_what_was_expected_and_what_was_found():
    cases = [
        case("minimum functionality", "fine"),
        case("directional", "good", "great", detail="above"),
        case("directional", "bad", "awful", label="negative", detail="at least"),
        case("invariance", "Ann", "Bob", detail="names"),
    ]
    given = {"fine": 0.25, "good": 0.9, "great": 0.8, "bad": 0.2, "awful": 0.3, "Ann": 1, "Bob": 0}
    failures = check_behaviour(Scripted(given.__getitem__), cases).failures
    assert [(one.texts, one.expected, one.found) for one in failures] == [
        (["fine"], "positive", "negative at 75.0%"),
        (["good", "great"], "the second is more positive", "positive at 90.0%, then 80.0%"),
        (["bad", "awful"], "the second is no less negative", "positive at 20.0%, then 30.0%"),
        (["Ann", "Bob"], "the same label, whatever the names", "positive, then negative"),
    ]
    assert failures[1].positive == [0.9, 0.8]


def test_the_order_of_the_labels_changes_nothing_and_no_text_is_asked_for_twice():
    truth = {text: len(text) % 7 / 7 for one in load_cases() for text in one.texts}
    one = Scripted(truth.__getitem__)
    other = Scripted(truth.__getitem__, labels=("positive", "negative"))
    assert check_behaviour(one) == check_behaviour(other)
    assert len(one.asked) == len(set(one.asked)) == len(truth)


def test_a_real_classifier_of_words_alone_stumbles_over_negation(sentences: DatasetDict):
    report = check_behaviour(TfidfClassifier(sentences["train"]))
    rates = {result.capability: result.pass_rate for result in report.capabilities}
    assert rates["plain"] > rates["negation"]
    assert any("not bad at all" in one.texts[0] for one in report.failures)


def test_other_labels_are_refused_in_one_sentence(sentences: DatasetDict):
    stars = labelled(["fine", "poor"], ["5", "1"], ["1", "5"])
    with pytest.raises(ModelError, match="labels 'negative' and 'positive'; this one has '1', '5'"):
        check_behaviour(TfidfClassifier(stars))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(value: float):
    with pytest.raises(ModelError, match="something other than 2 probabilities"):
        check_behaviour(Scripted(lambda text: value))


def test_no_cases_are_no_report():
    with pytest.raises(ValueError, match="at least one case"):
        check_behaviour(Scripted(lambda text: 0.5), [])
