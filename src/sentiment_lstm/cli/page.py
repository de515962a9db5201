"""`sentiment-lstm page`: a model folder in, a page that classifies in the browser out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sentiment_lstm.cli import options

__all__ = ["page"]


def page(
    model: options.ExportedModel,
    output: Annotated[Path, typer.Option(help="The folder to write; an earlier page is replaced.")],
) -> None:
    """Write a page that classifies in the browser, for any server of static files."""
    from sentiment_lstm.serving.static import write_page

    folder = write_page(model, output)
    command = f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(folder))}"
    Console().print(
        f"{escape(str(folder))} holds the page. See it with `{escape(command)}`.",
        highlight=False,
        soft_wrap=True,
    )
