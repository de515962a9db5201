"""What does scoring files cost: beside a plain loop, with more workers, with ever more rows?

    python benchmarks/scoring.py --rows 10000 --rows 100000 --rows 1000000
    python benchmarks/scoring.py runs/fast --no-engine --parts --rows 10000000

The test reviews are written to Parquet again and again, each time with other ids, and
`sentiment_lstm.scoring.score_files` scores them, in a process of its own. The plain loop reads
the same file, asks the runtime and writes the same columns, on as many threads as there are CPUs.
Loop, one worker and one worker a CPU take turns. Memory is the proportional set size of the command
and everything that Ray starts for it, sampled twice a second, highest sum.

Every model has a curve of its own, named by its recipe and width. The exponent is the slope of log
seconds over log rows: 1 where twice the rows take twice the time. Of the seconds, those are left
out in which Ray starts and the workers load the model.

What it takes to administer parts is measured with parts of two short texts each, which cost next
to nothing to score: as many as two and as twelve million rows have. The costs follow from the
speeds and the prices given; the speed of a DistilBERT-sized encoder is that of
`benchmarks/inference.py` on the same machine.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    WORK,
    foot_mark,
    load_binary_reviews,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    read_json,
    run_script,
    units,
    write_json,
    write_text,
)
from sentiment_lstm import artefact
from sentiment_lstm.runtime import available_cpus
from sentiment_lstm.scoring.formats.base import PART_ROWS

__all__ = ["scoring"]

_PACKAGES = ("sentiment-lstm", "onnxruntime", "tokenizers", "ray", "pyarrow")
_ENGINE_ROWS = 20_000  # for the comparison with the plain loop
_ROUNDS = 3
_PARTS = (2_000, 12_000)
_SAMPLE_S = 0.5
_LOOP = """
import sys, time
import pyarrow as pa, pyarrow.parquet as pq
from sentiment_lstm import runtime
source, output, model, threads = sys.argv[1:]
classifier = runtime.load(model, threads=int(threads))
start = time.perf_counter()
writer = None
for batch in pq.ParquetFile(source).iter_batches(4096):
    table = pa.Table.from_batches([batch])
    found = classifier.predict(table.column("text").to_pylist())
    for name in ("label", "confidence", "truncated"):
        table = table.append_column(name, pa.array([getattr(one, name) for one in found]))
    writer = writer or pq.ParquetWriter(output, table.schema, compression="zstd")
    writer.write_table(table)
writer.close()
print(time.perf_counter() - start)
"""
# What the command does, with the time of each step told.
_SCORE = """
import json, sys, time
from sentiment_lstm.scoring import score_files
source, output, model, workers, part_rows = sys.argv[1:]
points = []
summary = score_files(
    source, output, model=model, workers=int(workers), part_rows=int(part_rows),
    on_progress=lambda done: points.append([time.perf_counter(), done.rows]),
)
assert summary.complete and summary.rows == summary.scored == points[-1][1]
print(json.dumps(points))
"""


def scoring(
    model: Annotated[Path | None, typer.Argument(help="An exported model folder.")] = None,
    source: Annotated[str, typer.Option(help="Reviews to repeat.")] = DEFAULT_SOURCE,
    rows: Annotated[list[int] | None, typer.Option(min=1, help="Sizes of the cost curve.")] = None,
    core_hour: Annotated[float, typer.Option(help="Price of a core for an hour.")] = 0.04,
    per_100_characters: Annotated[
        float, typer.Option(help="Price of a per-call API, for each 100 characters begun.")
    ] = 0.0001,
    engine: Annotated[bool, typer.Option(help="Compare with the plain loop.")] = True,
    engine_rows: Annotated[int, typer.Option(min=1)] = _ENGINE_ROWS,
    parts: Annotated[bool, typer.Option("--parts", help="Measure what parts cost.")] = False,
    rounds: Annotated[int, typer.Option(min=1)] = _ROUNDS,
    work: Annotated[Path | None, typer.Option(help="Room for files; benchmarks/work.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
) -> None:
    """Measure what scoring files costs."""
    model = model or artefact.bundled_folder()
    folder = (work or WORK) / "scoring"
    folder.mkdir(parents=True, exist_ok=True)
    texts = list(load_binary_reviews(source)["test"]["text"])
    cpus = available_cpus()
    target = (results or RESULTS) / "scoring.json"
    found = read_json(target) or {}
    machine = machine_facts()
    if engine or "machine" not in found:
        found["machine"] = machine
    found |= {"versions": package_versions(*_PACKAGES), "workers": cpus}
    if engine:
        found["engine"] = _compare(folder, texts, model, cpus, engine_rows, rounds)
        write_json(target, found)
    if parts:
        found["parts"] = {
            "machine": machine,
            "points": [_administered(folder, model, cpus, number) for number in _PARTS],
        }
        write_json(target, found)
    curves = found.setdefault("curves", {})
    name = _curve_name(model)
    for number in rows or []:
        path = _repeated(folder / f"{number}.parquet", texts, number)
        point = {
            "rows": number,
            "machine": machine,
            **_run(path, folder / f"out-{number}", model, cpus),
        }
        others = [other for other in curves.get(name, []) if other["rows"] != number]
        curves[name] = sorted([*others, point], key=lambda point: point["rows"])
        write_json(target, found)
        shutil.rmtree(folder / f"out-{number}")
        path.unlink()
    found["costs"] = _costs(found, texts, core_hour, per_100_characters)
    write_json(target, found)
    write_text((results or RESULTS) / "scoring.md", _report(found))
    Console().print(_report(found), highlight=False)


def _curve_name(model: Path) -> str:
    """Name a model by its recipe, and by the width, which a recipe may change."""
    recipe = artefact.read_json(model / artefact.TRAINING)["recipe"]
    return f"{recipe['name']}, {units(recipe['model'])}"


def _compare(
    folder: Path, texts: list[str], model: Path, cpus: int, number: int, rounds: int
) -> dict[str, Any]:
    path = _repeated(folder / "engine.parquet", texts, number)
    seconds: dict[str, list[float]] = {"loop": [], "one_worker": [], "all_workers": []}
    for _ in range(rounds):
        seconds["loop"].append(_loop(path, folder / "loop.parquet", model, cpus))
        for name, workers in (("one_worker", 1), ("all_workers", cpus)):
            point = _run(path, folder / "out-engine", model, workers)
            seconds[name].append(point["scoring_seconds"])
            shutil.rmtree(folder / "out-engine")
    return {
        "rows": number,
        "rows_per_second": {name: number / median(values) for name, values in seconds.items()},
        "of_the_loop": median(seconds["loop"]) / median(seconds["all_workers"]),
        "scaling": median(seconds["one_worker"]) / median(seconds["all_workers"]),
        "seconds": seconds,
    }


def _administered(folder: Path, model: Path, cpus: int, parts: int) -> dict[str, Any]:
    """Read parts, share them out, keep them and put them together."""
    path = folder / "tiny.parquet"
    pq.write_table(pa.table({"text": ["a film"] * (2 * parts)}), path)
    point = _run(path, folder / "out-tiny", model, cpus, part_rows=2)
    shutil.rmtree(folder / "out-tiny")
    path.unlink()
    return {"parts": parts, **point}


def _costs(
    found: dict[str, Any], texts: list[str], core_hour: float, per_100_characters: float
) -> dict[str, Any] | None:
    """Give what a million reviews cost, by the largest point of each curve."""
    if not found["curves"]:
        return None
    encoder = _encoder_speed()
    hundreds = sum(math.ceil(len(text) / 100) for text in texts) / len(texts)

    def cost(rows_per_second: float) -> float:
        return 1e6 / rows_per_second / 3600 * found["workers"] * core_hour

    return {
        "core_hour": core_hour,
        "per_100_characters": per_100_characters,
        "per_million": {
            **{
                _title(name): cost(curve[-1]["rows"] / curve[-1]["scoring_seconds"])
                for name, curve in found["curves"].items()
            },
            "DistilBERT-sized encoder": None if encoder is None else cost(encoder),
            "per-call API": 1e6 * hundreds * per_100_characters,
        },
    }


def _title(name: str) -> str:
    return f"sentiment-lstm, {name}"


def _encoder_speed() -> float | None:
    speeds = (read_json(RESULTS / "inference.json") or {}).get("reviews_per_second", {})
    return speeds.get("DistilBERT-sized encoder")


def _repeated(path: Path, texts: list[str], number: int) -> Path:
    """Write so many reviews with ids of their own; the last round is cut off."""
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, number, len(texts)):
            ids = range(start, min(start + len(texts), number))
            writer.write_table(
                pa.table({"id": ids, "text": texts[: len(ids)]}, schema=schema),
                row_group_size=5_000,
            )
    return path


def _loop(path: Path, output: Path, model: Path, threads: int) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _LOOP, str(path), str(output), str(model), str(threads)],
        check=True,
        capture_output=True,
        text=True,
    )
    output.unlink()
    return float(done.stdout)


def _run(
    path: Path, output: Path, model: Path, workers: int, part_rows: int = PART_ROWS
) -> dict[str, Any]:
    """Score a file, and give the seconds and the memory that it took."""
    shutil.rmtree(output, ignore_errors=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", _SCORE, *map(str, (path, output, model, workers, part_rows))],
        stdout=subprocess.PIPE,
        text=True,
    )
    memory: list[int] = []
    watch = threading.Thread(target=_watch, args=(process.pid, memory))
    watch.start()
    said, _ = process.communicate()
    seconds = time.perf_counter() - start
    watch.join()
    if process.returncode != 0:
        raise RuntimeError(f"scoring {path} ended with exit status {process.returncode}")
    points = json.loads(said.splitlines()[-1])
    rows = points[-1][1]
    first_s, first_rows = next((second, done) for second, done in points if done)
    return {
        "seconds": seconds,
        # From the first part on, as if all rows had come then.
        "scoring_seconds": (points[-1][0] - first_s) * rows / max(rows - first_rows, 1),
        "peak_memory_mib": max(memory) / 2**20,
    }


def _watch(pid: int, memory: list[int]) -> None:
    """Sample the memory of a process and its children until it ends."""
    while True:
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = 0
        for member in family:
            try:
                total += member.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        memory.append(total)
        if process.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(_SAMPLE_S)


def _exponent(curve: list[dict[str, Any]]) -> float:
    rows = np.log([point["rows"] for point in curve])
    seconds = np.log([point["scoring_seconds"] for point in curve])
    return float(np.polyfit(rows, seconds, 1)[0])


def _marks(found: dict[str, Any]) -> dict[str, str]:
    """Give the mark of every place where a point was measured: none for the report's own."""
    points = [point for curve in found["curves"].values() for point in curve]
    machines = [found["machine"], *(point["machine"] for point in points)]
    places = dict.fromkeys(machine_line(machine, found["workers"]) for machine in machines)
    return {place: f" {foot_mark(number)}".rstrip() for number, place in enumerate(places)}


def _report(found: dict[str, Any]) -> str:
    lines = ["# Scoring files", ""]
    marks = _marks(found)

    def mark_of(point: dict[str, Any]) -> str:
        return marks[machine_line(point["machine"], found["workers"])]

    if "engine" in found:
        engine = found["engine"]
        speeds = engine["rows_per_second"]
        head = ["Way", "Reviews/s", "Of the loop"]
        names = {
            "loop": f"Plain loop, {found['workers']} threads",
            "one_worker": "`score`, 1 worker",
            "all_workers": f"`score`, {found['workers']} workers",
        }
        table = [
            [names[name], f"{speed:,.0f}", f"{speed / speeds['loop']:.2f}"]
            for name, speed in speeds.items()
        ]
        lines += [markdown_table(head, table), ""]
        lines += [
            f"{engine['rows']:,} whole reviews; the ways took turns, the median of "
            f"{len(engine['seconds']['loop'])} rounds counts. {found['workers']} workers are "
            f"{engine['scaling']:.2f} times as fast as one.",
            "",
        ]
    if found["curves"]:
        head = ["Recipe", "Rows", "Seconds", "of them scoring"]
        head += ["Rows/s while scoring", "Peak memory"]
        table = [
            [
                name + mark_of(point),
                f"{point['rows']:,}",
                f"{point['seconds']:,.1f}",
                f"{point['scoring_seconds']:,.1f}",
                f"{point['rows'] / point['scoring_seconds']:,.0f}",
                f"{point['peak_memory_mib']:,.0f} MiB",
            ]
            for name, curve in found["curves"].items()
            for point in curve
        ]
        lines += [markdown_table(head, table), ""]
        lines += [
            f"{mark.strip()} On another machine; it does not compare with the others: {place}.\n"
            for place, mark in marks.items()
            if mark
        ]
        exponents = [
            f"{_exponent(curve):.3f} ({name})"
            for name, curve in found["curves"].items()
            if len(curve) > 1
        ]
        if exponents:
            told = ", ".join(exponents)
            lines += [f"Exponent of the scoring time against rows: {told}.", ""]
    if found.get("parts"):
        few, many = found["parts"]["points"]
        grown = (many["peak_memory_mib"] - few["peak_memory_mib"]) / (many["parts"] - few["parts"])
        lines += [
            f"Parts of two short texts, of any size as far as the driver is concerned: "
            f"{many['parts'] / many['scoring_seconds']:,.0f} a second; each leaves "
            f"{1024 * grown:,.1f} KiB behind ({few['parts']:,} parts: "
            f"{few['peak_memory_mib']:,.0f} MiB, {many['parts']:,}: "
            f"{many['peak_memory_mib']:,.0f} MiB; {found['parts']['machine']['cpu']}).",
            "",
        ]
    if found.get("costs"):
        prices = found["costs"]
        last = {_title(name): curve[-1] for name, curve in found["curves"].items()}
        table = [
            [
                name + (mark_of(last[name]) if name in last else ""),
                "not measured" if value is None else f"{value:,.3f}",
            ]
            for name, value in prices["per_million"].items()
        ]
        lines += [markdown_table(["A million reviews by", "Cost"], table), ""]
        lines += [
            f"At {prices['core_hour']} for a core-hour, and {prices['per_100_characters']} for "
            "each 100 characters begun at the API.",
            "",
        ]
    lines.append(f"{machine_line(found['machine'], found['workers'])}.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(scoring)
