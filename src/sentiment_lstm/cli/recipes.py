"""`sentiment-lstm recipes`: list, print and copy the named settings of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from sentiment_lstm.errors import SaveError
from sentiment_lstm.recipes import load_recipe, recipe_names, recipe_text

__all__ = ["app"]

app = typer.Typer(help="List, print and copy the recipes.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="A recipe's name, such as `default`.")]


@app.command("list")
def list_() -> None:
    """List the recipes that come with the package."""
    table = Table("recipe", "what it is", "epochs", "reads", box=None, header_style="bold")
    for name in recipe_names():
        recipe = load_recipe(name)
        length = recipe.tokens.max_length_tokens
        reads = f"{length} tokens" if length else "whole reviews"
        table.add_row(name, recipe.summary, str(recipe.training.epochs), reads)
    Console().print(table)


@app.command()
def show(name: NameArgument) -> None:
    """Print a recipe with its comments."""
    console = Console()
    if console.is_terminal:
        console.print(Syntax(recipe_text(name), "toml", background_color="default"))
    else:
        typer.echo(recipe_text(name), nl=False)


@app.command()
def copy(
    name: NameArgument,
    path: Annotated[Path, typer.Argument(help="A new file, ending in .toml.")],
) -> None:
    """Copy a recipe to a file of your own, to change it there and train with it."""
    text = recipe_text(name)
    if path.suffix != ".toml":
        raise SaveError(f"{path}: a recipe's file ends in .toml. Choose such a name.")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SaveError(f"{path}: stands there already. Choose another name.") from error
    except OSError as error:
        raise SaveError(f"{path}: cannot be written ({error.strerror}).") from error
    typer.echo(f"{path}: a copy of the recipe {name}. Train with it by --recipe {path}")
