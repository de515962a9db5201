"""Score a table on Spark, with the batch scorer that `sentiment-lstm score` runs on Ray.

    python examples/score_on_spark.py reviews.parquet scored.parquet --text-column text

Every executor needs `pip install 'sentiment-lstm[spark]'`; the model comes with the package, or
lies in a folder that all of them see.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Annotated

import pandas
import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructType

from sentiment_lstm.scoring import BatchScorer


def score(table: DataFrame, text_column: str, model: str | None = None) -> DataFrame:
    """Add label, confidence and truncated to a table, and why a row has none of them."""
    columns = (
        StructType([*table.schema.fields])  # a copy: `add` changes it
        .add("label", StringType())
        .add("confidence", DoubleType())
        .add("truncated", BooleanType())
        .add("rejected", StringType())
    )
    return table.mapInPandas(
        functools.partial(_score_batches, text_column=text_column, model=model), columns
    )


def _score_batches(
    batches: Iterator[pandas.DataFrame], *, text_column: str, model: str | None
) -> Iterator[pandas.DataFrame]:
    scorer = BatchScorer(model)  # once a task, not once a batch
    for batch in batches:
        scored = scorer(batch[text_column].astype(object).where(batch[text_column].notna(), None))
        faults = [scored.faults.get(place) for place in range(len(batch))]
        yield batch.assign(**scored.columns, rejected=pandas.Series(faults, dtype=object).values)


def main(
    source: Annotated[str, typer.Argument(help="A Parquet file or folder.")],
    output: Annotated[str, typer.Argument(help="The folder to write.")],
    text_column: Annotated[str, typer.Option(help="The column to score.")] = "text",
    model: Annotated[str | None, typer.Option(help="An exported model folder.")] = None,
) -> None:
    """Score a Parquet table on Spark."""
    spark = SparkSession.builder.appName("sentiment-lstm").getOrCreate()
    # A batch is about a second of scoring.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1024")
    score(spark.read.parquet(source), text_column, model).write.mode("error").parquet(output)
    spark.stop()


if __name__ == "__main__":
    typer.run(main)
