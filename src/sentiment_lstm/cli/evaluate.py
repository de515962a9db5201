"""`sentiment-lstm evaluate`: a model and labelled reviews in, figures and a report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment_lstm.cli import options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from sentiment_lstm.abstention import AbstentionResult, CoverageAtAccuracy
    from sentiment_lstm.metrics import Evaluation

__all__ = ["evaluate"]

_MISTAKES_SHOWN = 5
_MAX_MATRIX_COLUMNS = 8
_CONFUSIONS_SHOWN = 8


def evaluate(
    model: options.TrainedModel,
    source: Annotated[str, typer.Argument(help="Labelled reviews, named as for `train`.")],
    split: Annotated[str, typer.Option(help="Which split of them.")] = "test",
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    test_size: Annotated[
        float,
        typer.Option(help="The share of the test split where one has to be made, as in training."),
    ] = 0.2,
    seed: Annotated[
        int,
        typer.Option(
            help="Which of the possible test splits, as in training; and of --limit.", min=0
        ),
    ] = 0,
    limit: Annotated[
        int | None, typer.Option(help="Measure on this many reviews, drawn at random.", min=1)
    ] = None,
    abstain: Annotated[
        str | None,
        typer.Option(
            help="Count what is left if labels below this confidence (0.9) are withheld, or below "
            "the one that gave this accuracy in validation (99%). [default: what the model folder "
            "says, else none]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for the report and its pictures.")
    ] = Path("runs/evaluate"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as JSON, and nothing else.")
    ] = False,
) -> None:
    """Measure a model on labelled reviews: figures, curves, its worst mistakes, and a report."""
    from rich.console import Console

    aside = Console(stderr=True)
    with aside.status("Loading the libraries") as status:
        from sentiment_lstm import artefact
        from sentiment_lstm.abstention import read_threshold
        from sentiment_lstm.classifier import load
        from sentiment_lstm.data import fingerprint, load_reviews, named_split
        from sentiment_lstm.evaluation import evaluate as measure
        from sentiment_lstm.report import check_folder, report_json, write_report

        check_folder(output)
        status.update("Loading the model")
        classifier = load(model)
        threshold = classifier.abstain_below or None
        if abstain is not None:
            threshold = read_threshold(abstain, folder=model, thresholds=classifier.thresholds)
        status.update(f"Reading {_plain(source)}")
        splits = load_reviews(
            source,
            text_column=text_column,
            label_column=label_column,
            test_size=test_size,
            seed=seed,
        )
        reviews = named_split(splits, split, source=source)
        digest = fingerprint(reviews)
    total = len(reviews) if limit is None else min(limit, len(reviews))
    with _progress(aside) as progress:
        task = progress.add_task("Classifying", total=total)
        evaluation = measure(
            classifier,
            reviews,
            limit=limit,
            seed=seed,
            abstain=threshold,
            on_progress=lambda done: progress.advance(task, done),
        )
    name = model.resolve().name
    title = f"{name} on {source}, split {split}"
    sampled = f", {total:,} of them drawn at random by seed {seed}" if total < len(reviews) else ""
    facts = {
        "Model": name,
        "Measured on": f"{source}, split {split}: {len(reviews):,} reviews{sampled}",
        "Fingerprint of the split": digest,
        **classifier.facts,
    }
    notes = []
    if split == "train" or digest == classifier.facts.get("Data fingerprint"):
        notes.append(
            "These reviews are of a training split. If the model was trained on them, the figures "
            "tell what it remembers, not what it understands."
        )
    with aside.status("Writing the report"):
        curves = model / artefact.CURVES
        page = write_report(
            evaluation,
            output,
            title=title,
            facts=facts,
            pictures=[curves] if curves.is_file() else [],
            notes=notes,
            # Of other models, each reason takes as many predictions as the review has words.
            explain=(lambda text, label: classifier.explain([text], label=label)[0])
            if classifier.additive
            else None,
        )
    if as_json:
        typer.echo(report_json(evaluation, title=title, facts=facts, notes=notes))
        return
    console = Console(highlight=False)
    _print_evaluation(console, title, evaluation, notes)
    console.print(f"Report: [bold]{_plain(str(page))}[/]", soft_wrap=True)


def _progress(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        # A bar that cannot move is noise in a log.
        disable=not console.is_terminal,
    )


def _print_evaluation(
    console: Console, title: str, evaluation: Evaluation, notes: list[str]
) -> None:
    console.print(f"\n[bold]{_plain(title)}[/]\n", soft_wrap=True)
    for note in notes:
        console.print(f"[yellow]{_plain(note)}[/]\n")
    console.print(_figures_table(evaluation))
    console.print()
    if evaluation.abstention is not None:
        console.print(_abstention_table(evaluation.abstention))
        console.print()
    if len(evaluation.labels) <= _MAX_MATRIX_COLUMNS:
        console.print(_matrix_table(evaluation))
    else:
        console.print(_confusions_table(evaluation))
    console.print()
    if evaluation.mistakes:
        console.print(_mistakes_table(evaluation, console.width))
        console.print()


def _figures_table(evaluation: Evaluation) -> Table:
    table = _table("Figures", "", "")
    table.show_header = False
    table.add_column(style="dim")
    table.columns[1].justify = "right"
    low, high = evaluation.accuracy_interval
    area, empty, mean = evaluation.roc_auc, evaluation.skipped_empty, "mean over the labels"
    by_chance = evaluation.calibration_error_by_chance
    errors = evaluation.reviews - sum(row[i] for i, row in enumerate(evaluation.confusion))
    rows = [
        ("accuracy", f"[bold]{evaluation.accuracy:.2%}[/]", f"{low:.2%} to {high:.2%} at 95%"),
        ("precision", f"{evaluation.precision:.2%}", mean),
        ("recall", f"{evaluation.recall:.2%}", mean),
        ("F1", f"{evaluation.f1:.2%}", mean),
        (
            "ROC AUC",
            "–" if area is None else f"{area:.4f}",
            evaluation.roc_auc_missing or "1 is best, 0.5 is guessing",
        ),
        ("log loss", f"{evaluation.log_loss:.4f}", "nats a review"),
        ("Brier score", f"{evaluation.brier_score:.4f}", "0 is best"),
        (
            "calibration error",
            f"{evaluation.expected_calibration_error:.4f}",
            f"mean distance of confidence from accuracy; {by_chance:.4f} by chance",
        ),
        (
            "the same, adaptive",
            f"{evaluation.adaptive_calibration_error:.4f}",
            "in bins of equally many reviews",
        ),
        (
            "risk-coverage area",
            f"{evaluation.risk_coverage_area:.4f}",
            f"0 is best, {errors / evaluation.reviews:.4f} if confidence were no help",
        ),
        *_ordinal_rows(evaluation),
        *(_coverage_row(found) for found in evaluation.coverage_at_accuracy),
        (
            "reviews",
            f"{evaluation.reviews:,}",
            f"{empty:,} with an empty text left out" if empty else "",
        ),
    ]
    for name, value, note in rows:
        table.add_row(name, value, _plain(note))
    return table


def _ordinal_rows(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    scores = evaluation.ordinal
    if scores is None:
        return []
    kappa = scores.quadratic_kappa
    return [
        ("mean error", f"{scores.mean_absolute_error:.4f}", "labels off, on average"),
        ("within one", f"{scores.within_one:.2%}", "at most one label off"),
        (
            "quadratic kappa",
            "–" if kappa is None else f"{kappa:.4f}",
            "all reviews bear and got one label" if kappa is None else "1 is best, 0 is chance",
        ),
    ]


def _coverage_row(found: CoverageAtAccuracy) -> tuple[str, str, str]:
    name = f"coverage at {found.target:.0%}"
    if found.coverage is None:
        return name, "–", f"no confidence gives an accuracy of {found.target:.0%}"
    return name, f"{found.coverage:.2%}", f"answering from a confidence of {found.threshold:.4f}"


def _abstention_table(result: AbstentionResult) -> Table:
    table = _table(f"Labels withheld below a confidence of {result.threshold:.4g}", "", "")
    table.show_header = False
    table.add_column(style="dim")
    table.columns[1].justify = "right"
    accuracy, avoided, errors = result.accuracy, result.errors_avoided, result.errors
    table.add_row(
        "coverage",
        f"[bold]{result.coverage:.2%}[/]",
        f"{result.answered:,} of {result.reviews:,} reviews are answered",
    )
    table.add_row("accuracy", "–" if accuracy is None else f"{accuracy:.2%}", "of the answered")
    table.add_row(
        "errors avoided",
        f"{avoided / errors:.2%}" if errors else "–",
        f"{avoided:,} of {errors:,}" if errors else "there is none",
    )
    return table


def _matrix_table(evaluation: Evaluation) -> Table:
    table = _table("Confusion matrix", "true \\ predicted", *evaluation.labels, numbers=True)
    for place, (name, row) in enumerate(zip(evaluation.labels, evaluation.confusion, strict=True)):
        counts = [f"{count:,}" for count in row]
        counts[place] = f"[bold green]{counts[place]}[/]"
        table.add_row(_plain(name), *counts)
    return table


def _confusions_table(evaluation: Evaluation) -> Table:
    table = _table("Most frequent confusions", "Labelled", "Taken for")
    table.add_column("Reviews", justify="right")
    pairs = [
        (count, evaluation.labels[row], evaluation.labels[column])
        for row, counts in enumerate(evaluation.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    for count, label, predicted in sorted(pairs, key=lambda pair: -pair[0])[:_CONFUSIONS_SHOWN]:
        table.add_row(_plain(label), _plain(predicted), f"{count:,}")
    return table


def _mistakes_table(evaluation: Evaluation, width: int) -> Table:
    from sentiment_lstm.text import shorten

    headers = ("Labelled", "Taken for", "at")
    shown = evaluation.mistakes[:_MISTAKES_SHOWN]
    rows = [(m.label, m.predicted, f"{m.confidence:.1%}") for m in shown]
    taken = sum(max(map(len, column)) + len("   ") for column in zip(headers, *rows, strict=True))
    table = _table("Most confidently wrong", *headers, "Review")
    for row, mistake in zip(rows, shown, strict=True):
        table.add_row(*map(_plain, row), _plain(shorten(mistake.text, max(width - taken, 20))))
    return table


def _table(title: str, *columns: str, numbers: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for place, name in enumerate(columns):
        table.add_column(_plain(name), justify="right" if numbers and place else "left")
    return table


def _plain(text: str) -> str:
    """Keep square brackets of a text from being read as Rich's markup."""
    from rich.markup import escape

    return escape(text)
