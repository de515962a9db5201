"""What the benchmarks share: the machine, the reviews, rivals in turn, results on disk."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import datasets
import numpy as np
import psutil
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import DataError, SentimentError
from sentiment_lstm.files import write_file
from sentiment_lstm.runtime import available_cpus

__all__ = [
    "DEFAULT_SOURCE",
    "IMAGES",
    "RESULTS",
    "WORK",
    "Timing",
    "commit",
    "compare",
    "counted",
    "differences",
    "foot_mark",
    "load_binary_reviews",
    "machine_facts",
    "machine_line",
    "markdown_table",
    "package_versions",
    "read_json",
    "run_script",
    "sample",
    "text_table",
    "units",
    "write_json",
    "write_text",
]

ROOT = Path(__file__).resolve().parents[1]
# Relative, so that what is printed and written holds no path of this machine.
RESULTS = Path(os.path.relpath(ROOT / "benchmarks" / "results"))
WORK = Path(os.path.relpath(ROOT / "benchmarks" / "work"))  # ignored by git
IMAGES = Path(os.path.relpath(ROOT / "docs" / "images"))
DEFAULT_SOURCE = "../shared/imdb"  # relative to the repository root
_MARKS = "¹²³⁴⁵⁶⁷⁸⁹"


class Timing(NamedTuple):
    """How long a rival took."""

    seconds: list[float]  # every round but the first, per unit of work
    ratio: float  # median seconds over those of the first rival


def compare(
    rivals: Mapping[str, Callable[[], None]],
    rounds: int = 7,
    *,
    work: Mapping[str, float] | None = None,
) -> dict[str, Timing]:
    """Time rivals in turn, after one warm-up each, so that all meet the same moods of the machine.

    Args:
        rivals: what to call, by name; the first one is the measure of the others.
        rounds: timed calls of each.
        work: how much one call of each does, where that differs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for round_ in range(rounds + 1):
        for name, run in rivals.items():
            start = time.perf_counter()
            run()
            took = time.perf_counter() - start
            if round_ > 0:  # round 0 warms caches and thread pools
                seconds[name].append(took / work[name] if work else took)
    base = median(seconds[next(iter(rivals))])
    return {name: Timing(values, median(values) / base) for name, values in seconds.items()}


def machine_facts() -> dict[str, Any]:
    """What a timing depends on: processor, the cores this process may use, memory, system.

    A virtual machine may call processors of several generations by one name, so what they
    compute with is told as well.
    """
    # Here, because it imports PyTorch, which the drawing of what was measured does without.
    from sentiment_lstm.precision import fast_bfloat16

    return {
        "cpu": _cpu_model(),
        "simd": _simd(),
        "bfloat16": fast_bfloat16(),
        "cores": available_cpus(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def machine_line(machine: Mapping[str, Any], threads: int) -> str:
    """Say in one line where something was measured."""
    cpu = machine["cpu"]
    if "simd" in machine:  # not in records of before
        cpu += f" ({machine['simd']}{', bfloat16' if machine['bfloat16'] else ''})"
    return (
        f"{cpu}, {counted(machine['cores'], 'core')}, {machine['memory_gib']} GiB of "
        f"memory, {machine['system']}, {counted(threads, 'thread')}"
    )


def foot_mark(number: int) -> str:
    """Give the sign of a note under a table, from 1 on; of none for 0."""
    return ("", *_MARKS)[number] if number <= len(_MARKS) else f"({number})"


def package_versions(*names: str) -> dict[str, str]:
    """Python's version, and that of every package named which is installed."""
    versions = {"Python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def commit() -> str | None:
    """Name the commit that is measured, and whether the code differs from it; None without git."""
    code = ["src", "benchmarks", "pyproject.toml", "requirements", ":(exclude)benchmarks/results"]
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", *code)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{head} with changes" if changed else head


def load_binary_reviews(source: str) -> datasets.DatasetDict:
    """Load the splits of a source, the default one from any folder.

    Returns:
        `train` and `test`, and `unsupervised` where the source has it.

    Raises:
        DataError: the source cannot be read, lacks a split, or has more or fewer than two classes.
    """
    place = os.path.relpath(ROOT / source) if source == DEFAULT_SOURCE else source
    if source == DEFAULT_SOURCE and not Path(place).is_dir():
        raise DataError(
            f"{source}: there is no such folder beside the repository. Name another copy of the "
            "official IMDB splits by --source: a folder, or imdb for the hub's."
        )
    reviews = load_reviews(place)
    missing = {"train", "test"} - reviews.keys()
    names = reviews["train"].features["label"].names if not missing else []
    if missing or len(names) != 2:
        found = f"no split {' or '.join(sorted(missing))}" if missing else f"{len(names)} classes"
        raise DataError(
            f"{source}: has {found}; the benchmarks need the splits train and test, of two "
            "classes. Name another source by --source."
        )
    kept = ("train", "test", "unsupervised")
    return datasets.DatasetDict({name: reviews[name] for name in kept if name in reviews})


def sample(reviews: datasets.Dataset, size: int | None, *, seed: int) -> datasets.Dataset:
    """Draw reviews at random, as many of each class as its share; None or too many takes all."""
    if size is None or size >= len(reviews):
        return reviews
    stratum = None if -1 in reviews["label"] else "label"  # unlabelled reviews are of no class
    return reviews.train_test_split(train_size=size, stratify_by_column=stratum, seed=seed)["train"]


def text_table(head: list[str], rows: list[list[str]], *, title: str) -> Table:
    """Lay a table out for the terminal, aligned as :func:`markdown_table` does."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place else "left")
    for cells in rows:
        table.add_row(*cells)
    return table


def counted(number: int, noun: str) -> str:
    """Say ``1 core``, ``2 cores``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def markdown_table(head: list[str], rows: list[list[str]], *, left: Collection[int] = (0,)) -> str:
    """Lay a table out in Markdown: the columns named to the left, the others to the right."""
    lines = [head, ["---" if place in left else "--:" for place in range(len(head))], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the entries in which two nested mappings differ, as ``machine.cores was 2, is 4``."""
    changed = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += [f"{key}.{line}" for line in differences(old, new)]
        elif old != new:
            changed.append(f"{key} was {old}, is {new}")
    return changed


def read_json(path: Path) -> dict[str, Any] | None:
    """Read results, or None where there are none yet.

    Raises:
        DataError: the file holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        values = error
    if not isinstance(values, dict):
        raise DataError(f"{path}: holds no results of a benchmark. Delete it, and measure again.")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write results for programs.

    Raises:
        SaveError: the file cannot be written; what stood there before is untouched.
    """
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text whole or not at all.

    Raises:
        SaveError: the file cannot be written; what stood there before is untouched.
    """
    write_file(path, text.encode("utf-8"))


def run_script(command: Callable[..., None]) -> None:
    """Run a script's command; a user's mistake ends with one sentence and exit status 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except SentimentError as error:
        message = f"[bold red]Error:[/] {escape(str(error))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        sys.exit(2)


def units(model: Mapping[str, Any]) -> str:
    """Say how wide the layers of a recorded recipe's model are: `128 units`, `2 x 128 units`."""
    layers = model["num_hidden_layers"]
    return f"{f'{layers} x ' if layers > 1 else ''}{model['hidden_size']} units"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _simd() -> str:
    """Name the widest vector instructions that NumPy finds here, as NumPy does."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    return [*extensions.get("baseline", []), *extensions.get("found", [])][-1]
