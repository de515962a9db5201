"""Behavioural tests: small texts on which a classifier of sentiment has to get one thing right.

::

    cases/*.toml   the texts, one file a capability: plain, negation, contrast, and so on
    cases.py       a file of cases -> BehaviourCase, every entry checked
    checks.py      classifier + cases -> BehaviourReport: pass rates with intervals, the failures

Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList"
(arXiv 2005.04118), for the idea and the three kinds of test. The texts are this project's own.
"""

from sentiment_lstm.behaviour.cases import BehaviourCase, capability_names, fingerprint, load_cases
from sentiment_lstm.behaviour.checks import (
    BehaviourFailure,
    BehaviourReport,
    CapabilityResult,
    check_behaviour,
)

__all__ = [
    "BehaviourCase",
    "BehaviourFailure",
    "BehaviourReport",
    "CapabilityResult",
    "capability_names",
    "check_behaviour",
    "fingerprint",
    "load_cases",
]
