"""Does a training on several processes end with the accuracy of one process, and how fast is it?

Each training is a command of its own, as a user starts it: on one process, and by `torchrun` on
several, at the same batch of all processes together. They take turns, a seed at a time, and share
the same cores. The test split chooses nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from rich.console import Console

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    ROOT,
    WORK,
    commit,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    read_json,
    run_script,
    text_table,
    write_json,
    write_text,
)
from sentiment_lstm.errors import DataError

_NAME = "ranks"
_PACKAGES = ("sentiment-lstm", "torch", "transformers", "accelerate", "datasets", "numpy")
_HEAD = ["Processes", "Test accuracy", "Validation", "Training", "Seeds"]


def ranks(
    source: Annotated[
        str, typer.Option(help="Reviews to train on: a folder, or imdb for the hub's copy.")
    ] = DEFAULT_SOURCE,
    recipe: Annotated[str, typer.Option(help="A recipe's name, or a .toml file.")] = "fast",
    processes: Annotated[
        list[int] | None, typer.Option(min=1, help="How many; may be repeated. 1 and 2.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 3,
    limit: Annotated[
        int | None, typer.Option(help="Train on this many reviews only; all of them.")
    ] = None,
    note: Annotated[
        str, typer.Option(help="What else to say of the machine: what it was busy with.")
    ] = "",
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
) -> None:
    """Train on one process and on several, and set the accuracies and the times side by side."""
    console = Console(highlight=False)
    numbers = processes or [1, 2]
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        for number in numbers:
            with console.status(f"Training on {number} process(es), seed {seed}"):
                runs.append(_train(source, recipe, number, seed, limit))
            last = runs[-1]
            console.print(
                f"{number} process(es), seed {seed}: {100 * last['test_accuracy']:.2f} % in "
                f"{last['stage_seconds']['training']:.0f} s"
            )
    content = {
        "question": (__doc__ or "").splitlines()[0],
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
        "commit": commit(),
        "source": source,
        "recipe": recipe,
        "limit": limit,
        "note": note,
        "runs": runs,
        "summary": {str(number): _summary(runs, number) for number in numbers},
    }
    path = (results or RESULTS) / f"{_NAME}.json"
    write_json(path, content)
    write_text(path.with_suffix(".md"), _markdown(content))
    console.print(text_table(_HEAD, _cells(content), title=f"Recipe {recipe}"))
    console.print(f"Written to {path} and {path.with_suffix('.md').name}")


def _train(source: str, recipe: str, number: int, seed: int, limit: int | None) -> dict[str, Any]:
    output = WORK / _NAME / f"{number}-processes-seed-{seed}"
    launcher = [sys.executable]
    if number > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"]
    place = str(ROOT / source) if source == DEFAULT_SOURCE else source
    command = [*launcher, "-m", "sentiment_lstm", "train", place, "--recipe", recipe]
    command += ["--seed", str(seed), "--output", str(output), "--restart"]
    if limit is not None:
        command += ["--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    metrics, training = (read_json(output / f"{name}.json") for name in ("metrics", "training"))
    if done.returncode or metrics is None or training is None:
        said = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
        raise DataError(
            f"The training on {number} processes failed: {said[0] if said else done.stderr[-500:]}"
        )
    # How long the rest takes says nothing: tokens are kept, and the second training finds them.
    return {
        "processes": number,
        "seed": seed,
        "test_accuracy": metrics["test"]["accuracy"],
        "validation_accuracy": metrics["validation"]["accuracy"],
        "stage_seconds": training["stage_seconds"],
        "reviews": training["reviews"],
        "batch_size": training["recipe"]["training"]["batch_size"],
    }


def _summary(runs: list[dict[str, Any]], number: int) -> dict[str, Any]:
    ours = [run for run in runs if run["processes"] == number]
    accuracies = [run["test_accuracy"] for run in ours]
    return {
        "seeds": len(ours),
        "test_accuracy": mean(accuracies),
        "test_accuracy_deviation": stdev(accuracies) if len(ours) > 1 else None,
        "validation_accuracy": mean(run["validation_accuracy"] for run in ours),
        "training_seconds": mean(run["stage_seconds"]["training"] for run in ours),
    }


def _cells(content: dict[str, Any]) -> list[list[str]]:
    rows = []
    for number, summary in content["summary"].items():
        deviation = summary["test_accuracy_deviation"]
        spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
        rows.append(
            [
                number,
                f"{100 * summary['test_accuracy']:.2f}{spread} %",
                f"{100 * summary['validation_accuracy']:.2f} %",
                f"{summary['training_seconds']:.0f} s",
                str(summary["seeds"]),
            ]
        )
    return rows


def _markdown(content: dict[str, Any]) -> str:
    machine = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    run = content["runs"][0]
    return (
        f"{markdown_table(_HEAD, _cells(content))}\n"
        f"Recipe {content['recipe']}, batches of {run['batch_size']} reviews shared by all "
        f"processes; {run['reviews']['train']:,} training reviews of `{content['source']}`; "
        f"{machine_line(machine, machine['cores'])}, shared by all processes; "
        f"{versions}. "
        "Training: the batches and their validation, in the mean of the seeds. "
        f"{content['note']}".rstrip()
        + "\n"
    )


if __name__ == "__main__":
    run_script(ranks)
