"""How fast does the library train, beside plain PyTorch loops and beside the machine's limit?

    python benchmarks/training_speed.py

The rivals take turns, so that all meet the same moods of the machine. The loops train on the same
whole reviews, tokenized beforehand, with the same sizes, and do what training does: batches,
forward, backward, optimizer step.

    padded     batches in random order, padded to their longest review and read by `nn.LSTM`; Adam
    packed     the same, but packed by `pack_padded_sequence`, so that no padding is read. On a CPU
               it is so slow that it gets every fifth review only, in the order of their lengths
    library    length buckets, equal segments read side by side and both directions at the same
               time, fused AdamW, clipping, freed memory kept: the LSTM of the recipe. Its n-gram
               table is left out, because it is fitted apart from the LSTM, and so is adversarial
               training, which reads batches twice
    bfloat16   the same with the LSTM in bfloat16, as the recipe trains it where the processor
               multiplies that in hardware; left out elsewhere
    matmul     a large matrix multiplication in the same precision: the most that the machine can do

All are measured by their useful work: what the LSTM does on real tokens, 3 · 2 · 4H · (E + H)
operations a token and direction: two a multiplication and addition, four gates, and a backward pass
of twice the forward one. Padding, embeddings, pooling and the optimizer count as nothing.
"""

# ruff: noqa: E402
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, cast

from sentiment_lstm.memory import share_one_arena

share_one_arena()  # as the command `train` does; before what is imported next starts threads

import torch
import typer
from rich.console import Console
from transformers import PreTrainedTokenizerFast

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    compare,
    load_binary_reviews,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    run_script,
    sample,
    text_table,
    units,
    write_json,
    write_text,
)
from loops import PlainModel, library_loop, lstm_flops_per_token, plain_loop
from sentiment_lstm.building import build_model
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.precision import fast_bfloat16
from sentiment_lstm.recipes import Recipe, load_recipe, override
from sentiment_lstm.runtime import available_cpus
from sentiment_lstm.tokens import load_tokenizer, tokenize_texts

__all__ = ["training_speed"]

_NAME = "training_speed"
_PACKAGES = ("sentiment-lstm", "torch", "transformers", "numpy")
_HEAD = ["Training", "Reviews/s", "Speed", "GFLOP/s", "Of the limit", "Padding"]
_TITLES = {
    "padded": "Plain PyTorch, padded",
    "packed": "Plain PyTorch, packed",
    "library": "sentiment-lstm",
    "bfloat16": "sentiment-lstm, bfloat16",
}
_MATMUL_SIZE = 2048
_MATMULS = 3  # a round
_PACKED_STEP = 5


def training_speed(
    source: Annotated[
        str, typer.Option(help="Reviews to train on: a folder, or imdb for the hub's copy.")
    ] = DEFAULT_SOURCE,
    reviews: Annotated[int, typer.Option(min=20, help="How many of the training split.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Timed passes of each rival.")] = 3,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a .toml file.")] = "default",
    seed: Annotated[int, typer.Option(help="Of the sample, the order and the weights.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
) -> None:
    """Measure training throughput beside plain PyTorch and beside matrix multiplication."""
    console = Console(highlight=False)
    threads = threads or available_cpus()
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    # As `train` does, and for all rivals: a CPU is slow on numbers below 1e-38.
    torch.set_flush_denormal(True)
    # The starting values of the embeddings have no bearing on the speed.
    chosen = override(
        load_recipe(recipe), ["model.ngram_buckets=0", "model.pretrained_embeddings=false"]
    )
    with console.status("Tokenizing the reviews"):
        tokenizer = load_tokenizer(clean_markup=chosen.tokens.clean_markup)
        rows = _tokenized(source, tokenizer, chosen, reviews, seed)
    build = partial(_build, chosen, tokenizer)
    model = build("float32")
    config = cast(SentimentConfig, model.config)
    settings = chosen.training
    by_length = sorted(rows, key=lambda row: len(row["input_ids"]))
    loops = {
        "padded": plain_loop(PlainModel(config, packed=False), rows, settings, seed),
        "packed": plain_loop(
            PlainModel(config, packed=True), by_length[::_PACKED_STEP], settings, seed
        ),
        "library": library_loop(model, rows, settings, seed),
    }
    precisions = {"matmul": torch.float32}
    if fast_bfloat16():
        loops["bfloat16"] = library_loop(build("bfloat16"), rows, settings, seed)
        precisions["matmul in bfloat16"] = torch.bfloat16
    flops = lstm_flops_per_token(config)
    work = {name: flops * loop.tokens / 1e9 for name, loop in loops.items()}  # GFLOP a pass
    rivals = {name: loop.run for name, loop in loops.items()}
    for name, precision in precisions.items():
        work[name] = _MATMULS * 2 * _MATMUL_SIZE**3 / 1e9
        rivals[name] = _matmuls(seed, precision)
    with console.status(f"{rounds + 1} passes of each rival over {len(rows):,} reviews"):
        timings = compare(rivals, rounds, work=work)

    # The best round, as a limit should be; the loops are judged by their median one.
    limits = {name: 1 / min(timings[name].seconds) for name in precisions}
    limit_of = {name: limits["matmul"] for name in loops}
    if "bfloat16" in loops:
        limit_of["bfloat16"] = limits["matmul in bfloat16"]
    gflops = {name: 1 / median(timings[name].seconds) for name in loops}
    tokens = loops["library"].tokens
    content = {
        "question": (__doc__ or "").splitlines()[0],
        "source": source,
        "reviews": len(rows),
        "tokens": tokens,
        "rounds": rounds,
        "recipe": chosen.to_dict(),
        "seed": seed,
        "threads": threads,
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
        "useful_flops_per_token": flops,
        "matmul_gflops": limits,
        "loops": {
            name: {
                "title": _TITLES[name],
                "speed": 1 / timings[name].ratio,  # the padded loop's is 1
                "useful_gflops": gflops[name],
                "useful_gflops_by_round": [1 / seconds for seconds in timings[name].seconds],
                "share_of_limit": gflops[name] / limit_of[name],
                # At the mean length of the whole sample.
                "reviews_per_second": gflops[name] * 1e9 / flops * len(rows) / tokens,
                "tokens_a_pass": loop.tokens,
                "padding_share": loop.padding_share,
            }
            for name, loop in loops.items()
        },
    }
    path = (results or RESULTS) / f"{_NAME}.json"
    write_json(path, content)
    write_text(path.with_suffix(".md"), _markdown(content))
    console.print(text_table(_HEAD, _cells(content), title=f"{len(rows):,} reviews"))
    console.print(f"Written to {path} and {path.with_suffix('.md').name}")


def _tokenized(
    source: str, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, reviews: int, seed: int
) -> list[dict[str, Any]]:
    """Draw reviews of the training split: `input_ids` and `labels` of each."""
    drawn = sample(load_binary_reviews(source)["train"], reviews, seed=seed)
    input_ids = tokenize_texts(
        tokenizer, list(drawn["text"]), max_length_tokens=recipe.tokens.limit_tokens
    )
    return [
        {"input_ids": ids, "labels": label}
        for ids, label in zip(input_ids, drawn["label"], strict=True)
    ]


def _build(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, precision: str) -> SentimentModel:
    """Build the recipe's model, to be trained in that precision whatever the machine is fast in."""
    recipe = override(recipe, [f"training.precision={precision}"])
    return build_model(recipe, tokenizer, ["negative", "positive"])


def _matmuls(seed: int, precision: torch.dtype) -> Callable[[], None]:
    random = torch.Generator().manual_seed(seed)
    left, right = torch.rand(2, _MATMUL_SIZE, _MATMUL_SIZE, generator=random).to(precision)
    product = torch.empty_like(left)

    def run() -> None:
        for _ in range(_MATMULS):
            torch.mm(left, right, out=product)

    return run


def _markdown(content: dict[str, Any]) -> str:
    machine = machine_line(content["machine"], content["threads"])
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    return (
        f"{markdown_table(_HEAD, _cells(content))}\n"
        f"{content['reviews']:,} reviews ({content['tokens']:,} tokens) of `{content['source']}`, "
        f"recipe {content['recipe']['name']} with {units(content['recipe']['model'])}, "
        f"seed {content['seed']}; the rivals took turns, "
        f"and the median of {content['rounds']} timed passes counts; {machine}; "
        f"{versions}. GFLOP/s are the LSTM's on real tokens; the limit is a matrix "
        f"multiplication of size {_MATMUL_SIZE} in the same precision. Each reads a batch once; "
        "adversarial training, which the recipe `default` has, reads every second one twice.\n"
    )


def _cells(content: dict[str, Any]) -> list[list[str]]:
    rows = [
        [
            loop["title"],
            f"{loop['reviews_per_second']:,.1f}",
            f"{loop['speed']:.2f}x",
            f"{loop['useful_gflops']:.1f}",
            f"{100 * loop['share_of_limit']:.0f} %",
            f"{100 * loop['padding_share']:.1f} %",
        ]
        for loop in content["loops"].values()
    ]
    limits = content["matmul_gflops"].items()
    titles = {"matmul": "Matrix multiplication", "matmul in bfloat16": "The same in bfloat16"}
    return [*rows, *([titles[name], "", "", f"{limit:.1f}", "", ""] for name, limit in limits)]


if __name__ == "__main__":
    run_script(training_speed)
