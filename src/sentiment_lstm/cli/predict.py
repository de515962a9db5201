"""`sentiment-lstm predict`: texts in, labels with calibrated confidence out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.errors import TextError
from sentiment_lstm.text import shorten

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(help="A model folder that `train` wrote.")],
    texts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts; without any, each line of standard input is one."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read texts from a file, one a line.")
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Classify empty texts too, by guessing.")
    ] = False,
    abstain: Annotated[
        str | None,
        typer.Option(
            help="Withhold the labels below this confidence (0.9), or below the one that gave this "
            "accuracy in validation (99%). [default: what the model folder says, else none]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a text, and nothing else.")
    ] = False,
) -> None:
    """Classify texts given as arguments, in a file, or on standard input."""
    given = _texts(texts, file)
    if not given:
        raise TextError(
            "There is no text to classify. Give texts as arguments, --file, or standard input."
        )
    from sentiment_lstm.abstention import read_threshold
    from sentiment_lstm.prediction import load

    classifier = load(model)
    threshold = classifier.abstain_below
    if abstain is not None:
        threshold = read_threshold(abstain, folder=model, thresholds=classifier.thresholds)
    predictions = classifier.predict(given, allow_blank=allow_empty, abstain=threshold)
    if as_json:
        for text, prediction in zip(given, predictions, strict=True):
            line = json.dumps({"text": text, **prediction.to_dict()}, ensure_ascii=False)
            typer.echo(line)
        return
    valued = any(prediction.expected_value is not None for prediction in predictions)
    table = Table("label", "confidence", box=None, header_style="bold")
    table.columns[1].justify = "right"
    if valued:
        table.add_column("expected", justify="right")
    table.add_column("text")
    colors = {"negative": "red", "positive": "green"}
    for text, prediction in zip(given, predictions, strict=True):
        color = colors.get(prediction.label, "cyan")
        label = f"[{color}]{escape(prediction.label)}[/]"
        if prediction.abstained:
            label = f"[dim]abstained (was: {escape(prediction.label)})[/]"
        table.add_row(
            label,
            f"{prediction.confidence:.1%}",
            *([f"{prediction.expected_value:.2f}"] if valued else []),
            escape(shorten(text)),
        )
    Console().print(table)
    withheld = sum(prediction.abstained for prediction in predictions)
    if withheld:
        Console(stderr=True).print(
            f"[yellow]{withheld} of {len(given)} labels are withheld: their confidence is below "
            f"{threshold:.1%}.[/]"
        )
    cut = sum(prediction.truncated for prediction in predictions)
    if cut:
        Console(stderr=True).print(
            f"[yellow]{cut} of {len(given)} texts were read only up to the model's "
            f"{classifier.max_length_tokens} tokens.[/]"
        )


def _texts(texts: list[str] | None, file: Path | None) -> list[str]:
    if texts and file is not None:
        raise TextError("Texts stand both among the arguments and in --file. Give one of them.")
    if texts:
        return texts
    if file is None and sys.stdin.isatty():
        return []
    try:
        data = sys.stdin.buffer.read() if file is None else file.read_bytes()
        content = data.decode("utf-8-sig")
    except OSError as error:
        raise TextError(f"{file}: cannot be read ({error.strerror}). Name another file.") from error
    except UnicodeDecodeError as error:
        raise TextError(
            f"{file or 'standard input'}: byte {error.start} is no UTF-8 ({error.reason}). "
            "Convert the text to UTF-8."
        ) from error
    # Not splitlines(): a text may hold a form feed or a line separator of its own.
    lines = content.removesuffix("\n").split("\n") if content else []
    return [line.removesuffix("\r") for line in lines]
