"""`sentiment-lstm score`: files of any size in, the same rows with label and confidence out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from sentiment_lstm.scoring import Progress as Done
    from sentiment_lstm.scoring import Summary

__all__ = ["score"]


def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A CSV, TSV, JSONL or Parquet file, a folder of them, a glob in quotes, or a URL "
            "of an object store.",
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="The folder to write, or such a URL.")
    ],
    text_column: Annotated[str, typer.Option(help="The column to score.")] = "text",
    model: Annotated[
        Path | None,
        typer.Option(
            help="A model folder that was exported. [default: the model that comes with the "
            "package]",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Add the words of the strongest pull as spans.")
    ] = False,
    abstain: Annotated[
        str | None,
        typer.Option(
            help="Withhold the labels below this confidence (0.9), or below the one that gave this "
            "accuracy in validation (99%).",
            show_default=False,
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(help="What the new columns' names begin with.")] = "",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that score. [default: one a CPU]", show_default=False),
    ] = None,
    part_rows: Annotated[
        int,
        typer.Option(min=1, help="Rows that are scored, kept and, after a kill, lost together."),
    ] = 1_024,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of a Ray cluster, such as 10.0.0.1:6379. [default: this machine alone]",
            show_default=False,
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what an earlier run has written to OUT.")
    ] = False,
    allow_different_columns: Annotated[
        bool,
        typer.Option(
            "--allow-different-columns", help="Take files whose columns differ for no fault."
        ),
    ] = False,
) -> None:
    """Score files of any size, here or on a cluster; a killed run goes on where it stopped."""
    import ray  # noqa: F401 - its absence is named before anything is begun

    from sentiment_lstm.scoring import score_files

    threshold = None if abstain is None else _threshold(abstain, model)
    with Progress(
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[speed]:,.0f} a second"),
        TextColumn("{task.fields[files]} files"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        summary = score_files(
            source,
            output,
            text_column=text_column,
            model=model,
            explain=explain,
            abstain=threshold,
            prefix=prefix,
            part_rows=part_rows,
            workers=workers,
            address=address,
            restart=restart,
            on_progress=_Bar(bar),
        )
    _print(summary, output)
    if not summary.complete or (summary.differing and not allow_different_columns):
        sys.exit(1)


class _Bar:
    """Draws how far a run is, by the bytes read: the rows to come are not counted yet."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._start = time.monotonic()

    def __call__(self, done: Done) -> None:
        if self._task is None:
            # What earlier runs did stands at the start of the bar, and tells nothing of the speed.
            self._start = time.monotonic()
            self._task = self._bar.add_task(
                "Scoring",
                total=done.all_bytes,
                completed=done.read_bytes,
                rows=0,
                speed=0.0,
                files="",
            )
        seconds = time.monotonic() - self._start
        self._bar.update(
            self._task,
            completed=done.read_bytes,
            rows=done.rows,
            speed=(done.rows - done.rows_before) / seconds if seconds else 0.0,
            files=f"{done.files:,} of {done.all_files:,}",
        )


def _print(summary: Summary, output: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    before = f", {summary.rows_before:,} of them by earlier runs" if summary.rows_before else ""
    console.print(
        f"{summary.rows:,} rows in = {summary.scored:,} scored + {summary.rejected:,} rejected"
        f"{before}."
    )
    if summary.rejected:
        console.print(f"The rejected rows stand in {escape(output)}/rejected, with their reasons.")
    if summary.ignored:
        console.print(
            f"{_counted(len(summary.ignored), 'file')} of another type left out, such as "
            f"{escape(summary.ignored[0])}."
        )
    console.print(f"{escape(summary.manifest)} names every file.")
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for name, difference in summary.differing.items():
        errors.print(f"[bold yellow]Columns differ:[/] {escape(name)} {escape(difference)}.")
    for reason in summary.missing.values():
        errors.print(f"[bold red]Missing:[/] {escape(reason)}")
    if summary.missing:
        errors.print(
            f"{_counted(len(summary.missing), 'file')} without a result. Run the same command "
            "again once that is mended; what is done stays."
        )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _threshold(abstain: str, model: Path | None) -> float:
    from sentiment_lstm import artefact
    from sentiment_lstm.abstention import read_threshold

    folder = artefact.model_folder(model)
    artefact.verify(folder)
    return read_threshold(
        abstain,
        folder=model or "the bundled model",
        thresholds=artefact.facts_and_thresholds(folder)[1],
    )
