"""`sentiment-lstm evaluate`: a model and labelled reviews in, figures and a report out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.text import shorten

if TYPE_CHECKING:
    from sentiment_lstm.evaluation import Evaluation

__all__ = ["evaluate"]

_ERRORS_SHOWN = 5


def evaluate(
    model: Annotated[Path, typer.Argument(help="A model folder that `train` wrote.")],
    source: Annotated[str, typer.Argument(help="Labelled reviews, as for `train`.")],
    split: Annotated[str, typer.Option(help="Which split of them.")] = "test",
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the report goes.")] = Path(
        "runs/report"
    ),
    text_column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="The column that holds the label.")] = "label",
    test_size: Annotated[
        float, typer.Option(help="Share held out for testing where the source has no split.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Of that share, as it was in training.")] = 0,
    limit: Annotated[
        int | None, typer.Option(help="Only this many reviews, drawn at random.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, and nothing else.")
    ] = False,
) -> None:
    """Measure a model on labelled reviews, and write a report worth looking at."""
    console = Console(highlight=False)
    quiet = Console(stderr=True, quiet=as_json)
    with quiet.status("Loading the model and the reviews"):
        from rich.progress import Progress

        from sentiment_lstm.data import load_reviews
        from sentiment_lstm.errors import DataError
        from sentiment_lstm.evaluation import evaluate as evaluate_model
        from sentiment_lstm.prediction import load
        from sentiment_lstm.report import write_report

        classifier = load(model)
        splits = load_reviews(
            source,
            text_column=text_column,
            label_column=label_column,
            test_size=test_size,
            seed=seed,
        )
        if split not in splits:
            raise DataError(
                f"{source}: has no split {split!r}, only {', '.join(map(str, splits))}. Choose by --split."
            )
        reviews = splits[split]
        if limit is not None and limit < len(reviews):
            reviews = reviews.shuffle(seed=seed).select(range(limit))
    with Progress(console=quiet, transient=True) as progress:
        task = progress.add_task("Classifying", total=len(reviews))
        evaluation = evaluate_model(
            classifier, reviews, on_progress=lambda done: progress.advance(task, done)
        )
    page = write_report(
        evaluation,
        output,
        title=f"{model.name} on {source}, split {split}",
        facts=classifier.facts,
        pictures=[path for path in [model / "learning-curves.png"] if path.is_file()],
    )
    if as_json:
        typer.echo(json.dumps(evaluation.to_dict(), ensure_ascii=False))
        return
    _print(console, evaluation)
    console.print(f"Report: [bold]{page}[/]")


def _print(console: Console, evaluation: Evaluation) -> None:
    low, high = evaluation.accuracy_interval
    figures = Table(box=None, show_header=False)
    figures.add_column(style="bold")
    figures.add_column(justify="right")
    figures.add_column(style="dim")
    auc = evaluation.roc_auc
    for name, value, note in (
        ("accuracy", f"{evaluation.accuracy:.2%}", f"95 % interval {low:.2%} to {high:.2%}"),
        ("precision", f"{evaluation.precision:.2%}", "mean over the classes"),
        ("recall", f"{evaluation.recall:.2%}", "mean over the classes"),
        ("F1", f"{evaluation.f1:.2%}", "mean over the classes"),
        ("ROC AUC", "–" if auc is None else f"{auc:.4f}", "1 ranks every review rightly"),
        ("log loss", f"{evaluation.log_loss:.4f}", "nats a review"),
        (
            "calibration error",
            f"{evaluation.expected_calibration_error:.4f}",
            "mean distance of confidence and accuracy",
        ),
        ("reviews", f"{evaluation.reviews:,}", f"{evaluation.skipped_empty} empty ones left out"),
    ):
        figures.add_row(name, value, note)
    console.print(figures)

    confusion = Table("true \\ predicted", *evaluation.labels, box=None, header_style="bold")
    for name, row in zip(evaluation.labels, evaluation.confusion, strict=True):
        confusion.add_row(name, *(f"{count:,}" for count in row))
    for column in confusion.columns[1:]:
        column.justify = "right"
    console.print(confusion)

    if evaluation.mistakes:
        mistakes = Table("is", "taken for", "at", "most confident mistakes", box=None)
        for mistake in evaluation.mistakes[:_ERRORS_SHOWN]:
            mistakes.add_row(
                mistake.label,
                mistake.predicted,
                f"{mistake.confidence:.1%}",
                escape(shorten(mistake.text, 90)),
            )
        console.print(mistakes)
