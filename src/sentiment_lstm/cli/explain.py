"""`sentiment-lstm explain`: how far a model's reasons can be believed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sentiment_lstm.cli import options

if TYPE_CHECKING:
    from sentiment_lstm.classifier import Explanation

__all__ = ["explain"]


def explain(
    model: options.TrainedModel,
    source: Annotated[str, typer.Argument(help="Reviews, as for `evaluate`.")],
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write the figures and the picture.")
    ] = True,
    output: Annotated[Path, typer.Option("--output", "-o", help="Their folder.")] = Path(
        "runs/reasons"
    ),
    reviews: Annotated[int, typer.Option(min=1, help="So many, drawn at random.")] = 500,
    split: Annotated[str, typer.Option(help="The split that they are drawn from.")] = "test",
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
) -> None:
    """Judge a model's reasons by taking words out and putting them in, strongest first."""
    from sentiment_lstm import artefact
    from sentiment_lstm.classifier import load
    from sentiment_lstm.data import draw_reviews, load_reviews, named_split
    from sentiment_lstm.explain.faithfulness import (
        faithfulness,
        plot_faithfulness,
        random_order,
    )

    artefact.verify(model)
    gradients = None
    if (model / artefact.WEIGHTS).is_file():
        from sentiment_lstm import prediction
        from sentiment_lstm.explain.gradients import integrated_gradients

        classifier = by_torch = prediction.load(model)
        if by_torch.model.config.mask_padding:
            gradients = partial(integrated_gradients, by_torch)
    else:  # an exported folder may come without the weights, and has no gradients then
        classifier = load(model)
    methods: dict[str, Callable[[str], Explanation]] = {
        "contributions" if classifier.additive else "occlusion": lambda text: classifier.explain(
            [text]
        )[0],
        "random": random_order(classifier),
    }
    if gradients is not None:
        methods["integrated gradients"] = gradients
    loaded = load_reviews(source, text_column=text_column, label_column=label_column)
    drawn = draw_reviews(named_split(loaded, split, source=source), reviews, seed=0)
    results = faithfulness(classifier, list(drawn["text"]), methods)
    if report:
        figures = {"results": [result.to_dict() for result in results]}
        artefact.write_json(output / "faithfulness.json", figures)
        plot_faithfulness(results, output / "faithfulness.png")
    table = Table("method", box=None, header_style="bold")
    for name in ("deletion, lower is better", "insertion, higher is better", "delta"):
        table.add_column(name, justify="right")
    for result in results:
        delta = result.convergence_delta
        table.add_row(
            result.method,
            f"{result.deletion_area:.3f}",
            f"{result.insertion_area:.3f}",
            "–" if delta is None else f"{delta:.4f}",
        )
    Console().print(table)
    drawn_as = f"; {output}/faithfulness.png" if report else ""
    Console().print(f"{len(drawn):,} reviews{drawn_as}", highlight=False)
