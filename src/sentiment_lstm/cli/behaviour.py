"""`sentiment-lstm behaviour`: negation, contrast, intensity and more, asked of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.cli import options
from sentiment_lstm.errors import DataError, nearest

if TYPE_CHECKING:
    from sentiment_lstm.behaviour import BehaviourCase, BehaviourFailure, BehaviourReport

__all__ = ["behaviour"]


def behaviour(
    model: options.TrainedModel,
    capability: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, such as negation. May be repeated; all by default."),
    ] = None,
    cases: Annotated[
        list[Path] | None,
        typer.Option(help="A TOML file of cases of your own, in place of ours. May be repeated."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")
    ] = False,
) -> None:
    """Test what a model makes of negation, contrast, intensity, plain words and typos.

    The exit status is 0 however many cases fail: it is a measurement, not a gate.
    """
    with Console(stderr=True).status("Loading the libraries and the model"):
        from sentiment_lstm.behaviour import check_behaviour, load_cases

        # The cases first: a mistyped name should not cost the loading of the model.
        chosen = _chosen(load_cases(cases or None), capability or [])
        from sentiment_lstm.classifier import load

        report = check_behaviour(load(model), chosen)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(f"\n[bold]{escape(model.resolve().name)}[/]\n", soft_wrap=True)
    console.print(_rates_table(report))
    if report.failures:
        console.print()
        console.print(_failures_table(report.failures))


def _chosen(cases: list[BehaviourCase], names: list[str]) -> list[BehaviourCase]:
    known = list(dict.fromkeys(case.capability for case in cases))
    for name in names:
        if name not in known:
            raise DataError(
                f"--capability: there are no cases of {name!r}; there are {', '.join(known)}."
                f"{nearest(name, known)}"
            )
    return [case for case in cases if not names or case.capability in names]


def _rates_table(report: BehaviourReport) -> Table:
    table = _table("Behaviour", "Capability", "Passed", "Rate", "95% interval", "What it asks")
    for column in table.columns[1:4]:
        column.justify = "right"
    for result in report.capabilities:
        table.add_row(
            escape(result.capability),
            f"{result.passed} of {result.cases}",
            f"{result.pass_rate:.1%}",
            _interval(result.pass_interval),
            escape(result.about),
        )
    if len(report.capabilities) > 1:
        table.add_section()
        table.add_row(
            "[bold]all[/]",
            f"{report.passed} of {report.cases}",
            f"[bold]{report.pass_rate:.1%}[/]",
            _interval(report.pass_interval),
            "",
        )
    return table


def _failures_table(failures: list[BehaviourFailure]) -> Table:
    table = _table(f"Failed ({len(failures)})", "Capability", "Text", "Expected", "Found")
    table.columns[1].ratio = 1
    for failure in failures:
        table.add_row(
            escape(failure.capability),
            escape("\n".join(failure.texts)),
            escape(failure.expected),
            escape(failure.found),
        )
    return table


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.1%} to {bounds[1]:.1%}"


def _table(title: str, *columns: str) -> Table:
    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
