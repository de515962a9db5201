"""The command `sentiment-lstm`: arguments in, one library call, the result out.

Each command stands in a file of its own and imports the heavy libraries inside its function, so
that `--help` answers at once. A :class:`~sentiment_lstm.errors.SentimentError` is printed as one
sentence and ends with exit status 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from sentiment_lstm import torchrun
from sentiment_lstm.cli import (
    behaviour,
    data,
    evaluate,
    explain,
    explore,
    export,
    finetune_teacher,
    page,
    predict,
    recipes,
    score,
    serve,
    train,
    tune,
)
from sentiment_lstm.errors import RankError, SentimentError

__all__ = ["app", "main"]

app = typer.Typer(
    name="sentiment-lstm",
    help="Train, evaluate and use LSTM sentiment classifiers on a CPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("data")(data.data)
app.command("explore")(explore.explore)
app.command("train")(train.train)
app.command("finetune-teacher")(finetune_teacher.finetune_teacher)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("behaviour")(behaviour.behaviour)
app.command("explain")(explain.explain)
app.command("export")(export.export)
app.command("predict")(predict.predict)
app.command("score")(score.score)
app.command("serve")(serve.serve)
app.command("page")(page.page)
app.add_typer(recipes.app, name="recipes")


# The package that a command lacks, and the extra that brings it.
_EXTRAS = {
    "captum": "explain",
    **dict.fromkeys(("fastapi", "prometheus_client", "uvicorn"), "serve"),
    **dict.fromkeys(("filelock", "optuna"), "tune"),
    **dict.fromkeys(("fsspec", "ray"), "scale"),
    **dict.fromkeys(
        (
            *("accelerate", "datasets", "jinja2", "matplotlib", "onnx", "plotly", "pyarrow"),
            *("safetensors", "scipy", "sklearn", "torch", "transformers"),
        ),
        "train",
    ),
}


_SHARED_OUT = ("train", "finetune-teacher")  # what several processes can do together


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence and exit status 2."""
    try:
        _check_processes(sys.argv[1:2])
        app()
    except SentimentError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        _refuse(
            f"This command needs the package {package}, which is not installed. "
            f"Run `pip install 'sentiment-lstm[{_EXTRAS[package]}]'`."
        )


def _check_processes(command: list[str]) -> None:
    """Refuse `torchrun` where each of its processes would do all of the work."""
    if torchrun.has_started_this() and command and command[0] not in _SHARED_OUT:
        if not torchrun.is_first_by_name():
            sys.exit(2)
        raise RankError(
            f"`{command[0]}` is not shared out to processes. Start it without torchrun, which is "
            f"for {' and '.join(f'`{name}`' for name in _SHARED_OUT)}."
        )


def _refuse(message: str) -> None:
    def tell() -> None:
        # Escaped: a message may name `sentiment-lstm[embedded]`, which is no markup.
        Console(stderr=True).print(
            f"[bold red]Error:[/] {escape(message)}", highlight=False, soft_wrap=True
        )

    if "sentiment_lstm.ranks" in sys.modules:  # one of several processes, it may be
        from sentiment_lstm import ranks

        ranks.tell_once(tell)
    else:
        tell()
    sys.exit(2)
