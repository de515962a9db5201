"""`sentiment-lstm finetune-teacher`: reviews and a pre-trained encoder in, a teacher out."""

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
    from sentiment_lstm.finetuning import TeacherEpoch

__all__ = ["finetune_teacher"]


def finetune_teacher(
    source: options.TrainingSource,
    encoder: Annotated[
        str, typer.Option(help="`embedded`, a hub name (bert-base-uncased), or a folder.")
    ] = "embedded",
    output: Annotated[Path, typer.Option("--output", "-o", help="The teacher's folder.")] = Path(
        "runs/teacher"
    ),
    epochs: Annotated[int, typer.Option(help="Times that every review is read.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at its highest.")] = 1e-4,
    batch_size: Annotated[int, typer.Option(help="Windows of reviews a batch.")] = 32,
    max_length: Annotated[int, typer.Option(help="Tokens of a window, at most.")] = 256,
    window_limit: Annotated[
        int,
        typer.Option(help="Windows that it reads of a text, from both ends; 0 reads all of it."),
    ] = 0,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the limit, the new weights, the windows and the order.")
    ] = 0,
    validation_size: Annotated[
        float, typer.Option(help="Share of the training reviews held out; 0 trains on all.")
    ] = 0.1,
    limit: options.TrainingLimit = None,
    resume: options.Resume = False,
    restart: options.Restart = False,
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    test_size: options.TestSize = 0.2,
    split_seed: options.SplitSeed = 0,
) -> None:
    """Fine-tune a pre-trained encoder on reviews, so that it can teach a small model."""
    share_one_arena()
    console = console_of_first()
    with console.status("Loading the libraries and the reviews"):
        from tqdm.auto import tqdm

        from sentiment_lstm import ranks
        from sentiment_lstm.finetuning import FinetuningSettings
        from sentiment_lstm.finetuning import finetune_teacher as finetune

        join_processes()
        settings = FinetuningSettings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            max_length_tokens=max_length,
            window_limit=window_limit,
            validation_size=validation_size,
        )

        reviews = ranks.from_first(
            lambda: load_training_reviews(
                source,
                text_column=text_column,
                label_column=label_column,
                test_size=test_size,
                split_seed=split_seed,
                limit=limit,
                seed=seed,
            )
        )
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in reviews.items())
    console.print(f"[bold]{source}[/]: {sizes} reviews; the encoder is [bold]{encoder}[/]")

    def show(record: TeacherEpoch) -> None:
        line = f"epoch {record.epoch:2d}/{epochs}   train loss {record.train_loss:.4f}"
        if record.validation_accuracy is not None:
            line += (
                f"   validation loss {record.validation_loss:.4f}"
                f"   accuracy {record.validation_accuracy:7.2%}"
            )
        tqdm.write(line)

    result = finetune(
        reviews,
        encoder,
        output,
        settings=settings,
        source=source,
        seed=seed,
        resume=resume,
        restart=restart,
        on_epoch=show,
        progress=sys.stderr.isatty() and ranks.is_first(),
    )
    if result.validation_accuracy is not None:
        read = f"at its ends in {window_limit}" if window_limit else "whole in"
        unseen = f"{result.reviews['validation']:,} reviews that it was not trained on"
        console.print(
            f"[bold]Validation accuracy {result.validation_accuracy:.2%}[/] on {unseen}, each "
            f"read {read} windows of at most {result.window_tokens} tokens."
        )
    console.print(
        f"Trained in {result.seconds / 60:.1f} min on {result.reviews['train']:,} reviews. "
        f"Saved in [bold]{result.output}[/]"
    )
    console.print(
        f"Let it teach: sentiment-lstm train {source} --teacher {result.output}", markup=False
    )
