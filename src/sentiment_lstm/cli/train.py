"""`sentiment-lstm train`: reviews and a recipe in, a model folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment_lstm.cli import options
from sentiment_lstm.cli.training_reviews import (
    console_of_first,
    join_processes,
    load_training_reviews,
)
from sentiment_lstm.memory import share_one_arena

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from sentiment_lstm.training import EpochRecord

__all__ = ["train"]


def train(
    source: options.TrainingSource,
    recipe: Annotated[
        str, typer.Option(help="A recipe's name, or a file of your own ending in .toml.")
    ] = "default",
    output: Annotated[Path, typer.Option("--output", "-o", help="The model folder.")] = Path(
        "runs/model"
    ),
    assignments: options.Assignments = None,
    epochs: Annotated[int | None, typer.Option(help="Short for --set training.epochs=N.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the limit, the weights and the order.")] = 0,
    resume: options.Resume = False,
    restart: options.Restart = False,
    tokenizer: options.Tokenizer = None,
    teachers: Annotated[
        list[str] | None,
        typer.Option(
            "--teacher",
            help="Learn from its opinion, too: a model folder, a hub name, nb-ngrams, tfidf, self, "
            "finetune:ENCODER, distil:ENCODER (finetune-128:ENCODER: on windows of 128 word "
            "pieces), or module:attribute of a scikit-learn pipeline; SPEC@2 weighs it twice. May "
            "be repeated.",
        ),
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            help="Texts without labels, for recipes that learn from such: any kind of source, or a "
            ".txt file of a text a line, less what stands in the validation or the test split. By "
            "default the source's own unsupervised split."
        ),
    ] = None,
    soft_labels: Annotated[
        Path | None,
        typer.Option(help="Keep what the teachers say in this folder, for other trainings."),
    ] = None,
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    test_size: options.TestSize = 0.2,
    split_seed: options.SplitSeed = 0,
    limit: options.TrainingLimit = None,
    skip_test: Annotated[
        bool, typer.Option("--skip-test", help="Measure nothing on the test split.")
    ] = False,
) -> None:
    """Train a classifier by a recipe and save it as a model folder.

    Under `torchrun --nproc-per-node N -m sentiment_lstm train ...`, N processes share every batch.
    """
    share_one_arena()
    console = console_of_first()
    with console.status("Loading the libraries and the reviews"):
        from tqdm.auto import tqdm

        from sentiment_lstm import ranks
        from sentiment_lstm.data import load_unlabelled
        from sentiment_lstm.recipes import load_recipe, override, to_toml
        from sentiment_lstm.training import train as train_model

        join_processes()
        chosen = override(
            load_recipe(recipe),
            [
                *(assignments or []),
                *([f"training.epochs={epochs}"] if epochs is not None else []),
                *([f"distillation.teachers={to_toml(teachers)}"] if teachers else []),
            ],
        )

        def load() -> tuple[DatasetDict, Dataset | None]:
            reviews = load_training_reviews(
                source,
                text_column=text_column,
                label_column=label_column,
                test_size=test_size,
                split_seed=split_seed,
                limit=limit,
                seed=seed,
            )
            if unlabelled is None:
                return reviews, None
            return reviews, load_unlabelled(unlabelled, text_column=text_column)

        reviews, texts = ranks.from_first(load)
    if ranks.size() > 1:
        console.print(f"{ranks.size()} processes share every batch.")
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in reviews.items())
    console.print(f"[bold]{chosen.name}[/]: {chosen.summary}\n[bold]{source}[/]: {sizes} reviews")

    def show(record: EpochRecord) -> None:
        line = (
            f"epoch {record.epoch:2d}/{chosen.training.epochs}"
            f"   train loss {record.train_loss:.4f}   accuracy {record.train_accuracy:7.2%}"
        )
        if record.validation_accuracy is not None:
            line += (
                f"   validation loss {record.validation_loss:.4f}"
                f"   accuracy {record.validation_accuracy:7.2%}"
            )
        tqdm.write(f"{line}   {record.seconds:5.0f} s")

    result = train_model(
        reviews,
        chosen,
        output,
        source=source,
        seed=seed,
        resume=resume,
        restart=restart,
        tokenizer_source=tokenizer,
        evaluate_test=not skip_test,
        unlabelled=texts,
        soft_labels_folder=soft_labels,
        on_epoch=show,
        on_stage=lambda line: tqdm.write(f"  {line}"),
        progress=sys.stderr.isatty() and ranks.is_first(),
    )
    console.print(
        f"Trained in {result.seconds / 60:.1f} min; kept epoch {result.best_epoch}; "
        f"{result.padding_share:.1%} of what the LSTM computed was padding."
    )
    if result.calibration is not None:
        console.print(
            f"Calibrated by a temperature of {result.calibration.temperature:.2f}: expected "
            f"calibration error {result.calibration.expected_calibration_error_before:.4f} before, "
            f"{result.calibration.expected_calibration_error_after:.4f} after."
        )
    if result.evaluation is not None:
        low, high = result.evaluation.accuracy_interval
        console.print(
            f"[bold]Test accuracy {result.evaluation.accuracy:.2%}[/] "
            f"(95 % interval {low:.2%} to {high:.2%}) on {result.evaluation.reviews:,} reviews."
        )
    console.print(f"Saved in [bold]{result.output}[/]")
