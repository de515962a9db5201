"""`sentiment-lstm explain`: how far a model's reasons can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

__all__ = ["explain"]


def explain(
    model: Annotated[Path, typer.Argument(help="A model folder that `train` wrote.")],
    source: Annotated[str, typer.Argument(help="Reviews, as for `evaluate`.")],
    report: Annotated[
        Path, typer.Option("--report", "-o", help="The folder of the figures and the picture.")
    ] = Path("runs/reasons"),
    reviews: Annotated[int, typer.Option(min=1, help="So many, drawn at random.")] = 500,
    split: Annotated[str, typer.Option(help="The split that they are drawn from.")] = "test",
    text_column: Annotated[str, typer.Option(help="The column that holds the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="The column that holds the label.")] = "label",
) -> None:
    """Judge a model's reasons by taking words out and putting them in, strongest first."""
    from sentiment_lstm import artefact
    from sentiment_lstm.data import draw_reviews, load_reviews, named_split
    from sentiment_lstm.explain.faithfulness import (
        faithfulness,
        plot_faithfulness,
        random_order,
    )
    from sentiment_lstm.explain.gradients import integrated_gradients
    from sentiment_lstm.prediction import load

    classifier = load(model)
    loaded = load_reviews(source, text_column=text_column, label_column=label_column)
    drawn = draw_reviews(named_split(loaded, split, source=source), reviews, seed=0)
    methods = {
        "contributions" if classifier.additive else "occlusion": lambda text: classifier.explain(
            [text]
        )[0],
        "random": random_order(classifier),
    }
    if classifier.model.config.mask_padding:
        methods["integrated gradients"] = lambda text: integrated_gradients(classifier, text)
    results = faithfulness(classifier, list(drawn["text"]), methods)

    report.mkdir(parents=True, exist_ok=True)
    artefact.write_json(
        report / "faithfulness.json", {"results": [result.to_dict() for result in results]}
    )
    plot_faithfulness(results, report / "faithfulness.png")
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
    Console().print(f"{len(drawn):,} reviews; {report}/faithfulness.png", highlight=False)
