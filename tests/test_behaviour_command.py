"""`sentiment-lstm behaviour` prints rates and failures; whatever they are, the status is 0."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sentiment_lstm.behaviour import check_behaviour, load_cases
from sentiment_lstm.cli import main
from sentiment_lstm.prediction import load

Command = Callable[..., int]


@pytest.fixture
def command(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*arguments: str, model: Path | str = trained) -> int:
        monkeypatch.setattr("sys.argv", ["sentiment-lstm", "behaviour", str(model), *arguments])
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
        return 0

    return run


def test_rates_and_failures_are_printed_and_the_status_is_0(
    command: Command, trained: Path, capsys: pytest.CaptureFixture[str]
):
    assert command() == 0
    printed = capsys.readouterr().out
    report = check_behaviour(load(trained))
    assert report.failures  # a tiny model of 400 sentences
    for result in report.capabilities:
        assert f"{result.passed} of {result.cases}" in printed
    assert f"{report.pass_rate:.1%}" in printed
    for failure in report.failures:
        assert failure.texts[0][:40] in printed


def test_json_is_all_that_stands_on_standard_output(
    command: Command, trained: Path, capsys: pytest.CaptureFixture[str]
):
    assert command("--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values == json.loads(json.dumps(check_behaviour(load(trained)).to_dict()))


def test_one_capability_and_cases_of_ones_own(command: Command, capsys: pytest.CaptureFixture[str]):
    assert command("--capability", "negation", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["cases"] == sum(case.capability == "negation" for case in load_cases())
    Path("mine.toml").write_text(
        'capability = "[bold]mine"\nabout = "one word"\n[[groups]]\nlabel = "positive"\n'
        'kind = "minimum functionality"\ntexts = ["[/] good", "[/] bad"]\n'
        '[[groups]]\nlabel = "negative"\nkind = "minimum functionality"\n'
        'texts = ["[/] good", "[/] bad"]\n'
    )
    assert command("--cases", "mine.toml") == 0
    printed = capsys.readouterr().out
    assert "[bold]mine" in printed
    assert "[/] good" in printed
    assert "2 of 4" in printed


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--capability", "negatoin"], "no cases of 'negatoin'"),
        (["--cases", "nowhere.toml"], "nowhere.toml: the cases cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], expected: str, command: Command, capsys: pytest.CaptureFixture[str]
):
    assert command(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.startswith("Error: ")
    assert len(captured.err.strip().splitlines()) == 1


def test_a_missing_model_is_named(command: Command, capsys: pytest.CaptureFixture[str]):
    assert command(model="runs/none") == 2
    assert "runs/none: no such folder" in capsys.readouterr().err
