"""`sentiment-lstm tune`: reviews and a search space in, the best recipe out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.cli import options
from sentiment_lstm.cli.training_reviews import load_training_reviews
from sentiment_lstm.memory import share_one_arena

if TYPE_CHECKING:
    from sentiment_lstm.tuning.search import TuningResult
    from sentiment_lstm.tuning.study import TrialRecord

__all__ = ["tune"]

_TABLE_ROWS = 5


def _print_space(wanted: bool) -> None:
    if wanted:
        from sentiment_lstm.tuning.space import default_space_text

        typer.echo(default_space_text(), nl=False)
        raise typer.Exit


def tune(
    source: Annotated[
        str, typer.Argument(help="Reviews, as for `train`; the test split is not read.")
    ],
    trials: Annotated[
        int, typer.Option(help="Trials in all, those of earlier parts of the search too.")
    ] = 20,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder of the study; goes on with one.")
    ] = Path("runs/tune"),
    recipe: Annotated[
        str, typer.Option(help="The recipe to start from: a name, or a file ending in .toml.")
    ] = "default",
    assignments: options.Assignments = None,
    space: Annotated[
        Path | None, typer.Option(help="Which settings to search, in a TOML file of your own.")
    ] = None,
    print_space: Annotated[
        bool,
        typer.Option(
            "--print-space",
            help="Print the default search space, to save and to change it.",
            callback=_print_space,
            is_eager=True,
        ),
    ] = False,
    metric: Annotated[
        str, typer.Option(help="What of the validation reviews decides: accuracy or log_loss.")
    ] = "accuracy",
    pruner: Annotated[
        str, typer.Option(help="What ends poor trials early: median, hyperband or none.")
    ] = "median",
    timeout: Annotated[
        float | None, typer.Option(help="Begin no trial after this many minutes.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Search with this many reviews only, drawn by the seed.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the limit, the weights, the order and the search.")
    ] = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away the study that stands in the folder.")
    ] = False,
    tokenizer: options.Tokenizer = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            help="Texts to pre-train on, where the recipe does so: any kind of source, or a .txt "
            "file of a text a line. By default the source's own unsupervised split."
        ),
    ] = None,
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    test_size: options.TestSize = 0.2,
    split_seed: options.SplitSeed = 0,
) -> None:
    """Search the settings with which a recipe does best on held-out validation reviews."""
    share_one_arena()
    console = Console(highlight=False, soft_wrap=True)
    with console.status("Loading the libraries and the reviews"):
        from sentiment_lstm.tuning.study import check_optuna, rank

        check_optuna()
        from sentiment_lstm.data import load_unlabelled
        from sentiment_lstm.recipes import load_recipe, override, to_toml
        from sentiment_lstm.tuning.search import METRICS
        from sentiment_lstm.tuning.search import tune as search

        base = override(load_recipe(recipe), assignments or [])
        reviews = load_training_reviews(
            source,
            text_column=text_column,
            label_column=label_column,
            test_size=test_size,
            split_seed=split_seed,
            limit=limit,
            seed=seed,
        )
        texts = None if unlabelled is None else load_unlabelled(unlabelled, text_column=text_column)
    console.print(
        f"[bold]{escape(base.name)}[/]: {escape(base.summary)}\n"
        f"[bold]{escape(source)}[/]: {len(reviews['train']):,} reviews to search with"
    )

    def show(record: TrialRecord) -> None:
        settings = "  ".join(
            f"{name.partition('.')[2]}={_short(value)}" for name, value in record.settings.items()
        )
        told = "" if record.accuracy is None else f"   accuracy {record.accuracy:7.2%}"
        if record.log_loss is not None:
            told += f"   log loss {record.log_loss:.4f}"
        if record.state == "pruned":
            told += f"   pruned{f': {record.note}' if record.note else ''}"
        console.print(
            escape(
                f"trial {record.number:3d}   {settings}   epochs {record.epochs}{told}"
                f"   {record.seconds:5.0f} s"
            )
        )

    try:
        result = search(
            reviews,
            base,
            output,
            trials=trials,
            space=space,
            metric=metric,
            pruner=pruner,
            time_limit_min=timeout,
            source=source,
            seed=seed,
            restart=restart,
            tokenizer_source=tokenizer,
            unlabelled=texts,
            on_trial=show,
        )
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on with the search.")
        raise typer.Exit(130) from None
    ranked = rank(result.trials, maximize=METRICS[metric] == "maximize")
    differing = {
        name: value
        for name, value in result.best.settings.items()
        if to_toml(value) != to_toml(base.to_dict()[name.partition(".")[0]][name.partition(".")[2]])
    }
    _tell(console, result, ranked, differing)


def _tell(
    console: Console, result: TuningResult, ranked: list[TrialRecord], differing: dict[str, object]
) -> None:
    states = [record.state for record in result.trials]
    finished = len(states) - states.count("failed")
    earlier = f", {result.trials_before} of them before" if result.trials_before else ""
    repeated = f", {result.trials_cut} cut and repeated" if result.trials_cut else ""
    console.print(
        f"{finished} trials{earlier}{repeated}, {states.count('pruned')} pruned, "
        f"in {result.seconds / 60:.1f} min."
    )
    names = list(result.best.settings)
    table = Table("trial", "accuracy", "log loss", "epochs", box=None, header_style="bold")
    for name in names:
        table.add_column(name.partition(".")[2], justify="right")
    for record in ranked[:_TABLE_ROWS]:
        table.add_row(
            str(record.number),
            f"{record.accuracy:.2%}",
            f"{record.log_loss:.4f}",
            f"{record.kept_epoch}/{record.epochs}",
            *(escape(_short(record.settings[name])) for name in names),
        )
    console.print(table)
    if result.importances:
        name, share = next(iter(result.importances.items()))
        console.print(f"{name} explains {share:.0%} of the difference between the trials.")
    changes = ", ".join(f"{name}={_short(value)}" for name, value in differing.items())
    console.print(
        f"The best, trial {result.best.number}, changes {escape(changes) or 'nothing'}. Train it "
        f"with [bold]--recipe {escape(str(result.output / 'tuned.toml'))}[/]"
    )
    pictures = ", ".join(picture.name for picture in result.pictures)
    console.print(f"Beside it: trials.csv, {pictures} and, for TensorBoard, trials/")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
