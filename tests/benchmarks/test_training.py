"""What the committed results of the trainings in parallel and on many texts show."""

from __future__ import annotations

import importlib
import json

import pytest

from tests.benchmarks.results import BENCHMARKS
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["ranks", "unlabelled_memory"])
def test_the_tables_show_what_was_measured(name: str):
    script = importlib.import_module(name)
    content = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    shown = (BENCHMARKS / "results" / f"{name}.md").read_text(encoding="utf-8")
    assert script._markdown(content) == shown
    documented = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    for row in [line for line in shown.splitlines() if line.startswith("|")]:
        assert row in documented


def test_two_processes_are_as_accurate_as_one_within_the_noise():
    content = json.loads((BENCHMARKS / "results" / "ranks.json").read_text(encoding="utf-8"))
    one, two = (content["summary"][number]["test_accuracy"] for number in ("1", "2"))
    assert abs(one - two) < 0.003  # the test split alone allows as much by chance


def test_memory_stays_where_it_is_whatever_the_number_of_texts():
    content = json.loads(
        (BENCHMARKS / "results" / "unlabelled_memory.json").read_text(encoding="utf-8")
    )
    least, *_, most = content["runs"]
    assert (least["times"], most["times"]) == (1, 16)
    for name, stage in most["stages"].items():
        # What was there before the first stage goes in its course, sooner or later.
        bound = max(least["before_mib"], least["stages"][name]["anonymous_mib"])
        assert stage["anonymous_mib"] < 1.1 * bound, name
