"""`sentiment-lstm export`: a model folder in, ONNX files beside its weights out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.cli import options

if TYPE_CHECKING:
    import datasets

__all__ = ["export"]

_MEGABYTE = 1e6


def export(
    model: options.TrainedModel,
    reviews: Annotated[
        str | None,
        typer.Option(
            help="The reviews it was trained on, whose validation split judges the 8-bit file. "
            "[default: the source that the folder names]",
            show_default=False,
        ),
    ] = None,
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    for_javascript: Annotated[
        Path | None,
        typer.Option(
            "--transformers-js",
            help="Also write the folder that transformers.js loads by its name.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")
    ] = False,
) -> None:
    """Write a model as ONNX: in 32 bits and, where it classifies as well, in 8 bits."""
    from sentiment_lstm import transformers_js
    from sentiment_lstm.export import export as export_folder

    if for_javascript is not None:
        transformers_js.check_output(for_javascript)  # before the minutes that an export takes
    validation, why = _validation(model, reviews, text_column, label_column)
    result = export_folder(model, validation=validation)
    if for_javascript is not None:
        transformers_js.write_folder(model, for_javascript)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
        return
    table = Table("file", box=None, header_style="bold")
    for name in ("size", "accuracy", "reviews/s", ""):
        table.add_column(name, justify="right")
    for file in result.files:
        table.add_row(
            escape(file.name),
            f"{file.size_bytes / _MEGABYTE:.1f} MB",
            "–" if file.accuracy is None else f"{file.accuracy:.2%}",
            "–" if file.reviews_per_second is None else f"{file.reviews_per_second:,.0f}",
            "" if file.kept else "thrown away",
        )
    console = Console()
    console.print(table)
    console.print(
        f"The 32-bit file differs from PyTorch by {result.largest_difference:.0e} in probability.",
        highlight=False,
    )
    if for_javascript is not None:
        console.print(
            f"{escape(str(for_javascript))} is for transformers.js.",
            highlight=False,
            soft_wrap=True,
        )
    if validation is not None:
        console.print(f"Measured on {result.reviews:,} validation reviews.", highlight=False)
    else:
        Console(stderr=True).print(
            f"[yellow]The 8-bit file was not kept, for nothing could judge it: {escape(why)}[/]",
            highlight=False,
            soft_wrap=True,
        )


def _validation(
    model: Path, source: str | None, text_column: str, label_column: str
) -> tuple[datasets.Dataset | None, str]:
    """Draw the validation split of the training again, or say why that cannot be."""
    from sentiment_lstm import artefact
    from sentiment_lstm.data import fingerprint, load_reviews, training_splits
    from sentiment_lstm.errors import DataError, SentimentError
    from sentiment_lstm.recipes import recipe_from_dict

    artefact.verify(model)
    path = model / artefact.TRAINING
    if not path.is_file():
        return None, f"the folder lacks {artefact.TRAINING}."
    training = artefact.read_json(path)
    named = source or training["data"]["source"]
    if not named:
        return None, "the folder names no source of reviews. Name it by --reviews."
    try:
        loaded = load_reviews(named, text_column=text_column, label_column=label_column)
        size = recipe_from_dict(training["recipe"]).training.validation_size
        _, validation, _ = training_splits(loaded, validation_size=size)
    except SentimentError as error:
        if source is not None:
            raise
        return None, f"{error} Name the reviews by --reviews."
    if validation is None:
        return None, "its recipe holds no validation reviews out."
    if fingerprint(validation) != training["data"]["validation"]:
        message = (
            f"{named}: its validation split is not the one of the training, so the model may have "
            "learnt from it. Name the reviews that it was trained on by --reviews."
        )
        if source is not None:
            raise DataError(message)
        return None, message
    return validation, ""
