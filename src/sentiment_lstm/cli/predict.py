"""`sentiment-lstm predict`: texts in, labels with calibrated confidence out."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sentiment_lstm.errors import TextError
from sentiment_lstm.text import shorten

if TYPE_CHECKING:
    from sentiment_lstm.classifier import Explanation

__all__ = ["coloured", "predict"]

# Of the strongest pull in a text: below it a word keeps its colour, above it is bold.
_FAINTEST, _STRONG = 0.1, 0.5
_LONGEST_NAME = 200
_CONTROLS = re.compile(r"[\a\b\v\f\r]")


def predict(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] [TEXTS]...",
            help="A model folder, or none for the model that comes with the package; then texts. "
            "Without texts, each line of standard input is one.",
        ),
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
    explain: Annotated[
        bool, typer.Option("--explain", help="Colour the words by their pull on the label.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a text, and nothing else.")
    ] = False,
) -> None:
    """Classify texts given as arguments, in a file, or on standard input."""
    model, texts = _model_and_texts(arguments or [])
    given = _texts(texts, file)
    if not given:
        raise TextError(
            "There is no text to classify. Give texts as arguments, --file, or standard input."
        )
    from sentiment_lstm.abstention import read_threshold
    from sentiment_lstm.classifier import load

    classifier = load(model)
    threshold = classifier.abstain_below
    if abstain is not None:
        threshold = read_threshold(
            abstain, folder=model or "the bundled model", thresholds=classifier.thresholds
        )
    explanations = (
        classifier.explain(given, allow_blank=allow_empty, abstain=threshold) if explain else None
    )
    predictions = (
        [explanation.prediction for explanation in explanations]
        if explanations
        else classifier.predict(given, allow_blank=allow_empty, abstain=threshold)
    )
    if as_json:
        for place, (text, prediction) in enumerate(zip(given, predictions, strict=True)):
            values = {"text": text, **prediction.to_dict()}
            if explanations:
                values["explanation"] = explanations[place].to_dict()
                del values["explanation"]["prediction"]
            typer.echo(json.dumps(values, ensure_ascii=False))
        return
    valued = any(prediction.expected_value is not None for prediction in predictions)
    table = Table("label", "confidence", box=None, header_style="bold")
    table.columns[1].justify = "right"
    if valued:
        table.add_column("expected", justify="right")
    table.add_column("text")
    colors = {"negative": "red", "positive": "green"}
    for place, (text, prediction) in enumerate(zip(given, predictions, strict=True)):
        color = colors.get(prediction.label, "cyan")
        label = f"[{color}]{escape(prediction.label)}[/]"
        if prediction.abstained:
            label = f"[dim]abstained (was: {escape(prediction.label)})[/]"
        table.add_row(
            label,
            f"{prediction.confidence:.1%}",
            *([f"{prediction.expected_value:.2f}"] if valued else []),
            coloured(explanations[place], text) if explanations else escape(shorten(text)),
        )
    Console().print(table)
    if explanations and any(one.method != "contributions" for one in explanations):
        Console(stderr=True).print(
            f"The words were scored by {explanations[0].method}.", highlight=False
        )
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


def coloured(explanation: Explanation, text: str) -> Text:
    """Colour the words of a text: green speaks for its label, red against it, bold is strong."""
    # Rich leaves these out, and the words behind them would move; a space keeps their place.
    shown = Text(_CONTROLS.sub(" ", text))
    strongest = max((abs(word.score) for word in explanation.words), default=0.0)
    for word in explanation.words:
        share = abs(word.score) / strongest if strongest else 0.0
        if share >= _FAINTEST:
            style = "green" if word.score > 0 else "red"
            shown.stylize(f"bold {style}" if share >= _STRONG else style, word.start, word.end)
    return shown


def _model_and_texts(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Take the first argument for a model where it is a folder, or can only mean one."""
    if not arguments:
        return None, []
    first = arguments[0]
    if not first.strip():
        return None, arguments  # an empty text, though Path("") would be this folder
    looks_like_a_path = not any(map(str.isspace, first)) and ("/" in first or os.sep in first)
    if looks_like_a_path or Path(first[:_LONGEST_NAME]).is_dir():
        return Path(first), arguments[1:]
    return None, arguments


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
