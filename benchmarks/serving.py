"""How long does the server take to answer, alone and under load?

    python benchmarks/serving.py MODEL

The server runs as its command starts it, with its default limits, on this machine, which the
clients share with it. Each client asks for the label of one review, waits for the answer, and asks
again. All clients take whole reviews of the test split in turn, the same at each number of clients.
A request that gets anything but 200 has failed; with any, the exit status is 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    load_binary_reviews,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    run_script,
    sample,
    write_json,
)
from sentiment_lstm.errors import SentimentError
from sentiment_lstm.runtime import available_cpus

__all__ = ["serving"]

_CLIENTS = (1, 8, 64)
_PACKAGES = ("sentiment-lstm", "onnxruntime", "fastapi", "uvicorn", "httpx")
_HEAD = ["Clients", "p50 ms", "p95 ms", "p99 ms", "Requests/s", "Failed"]
_READY_S = 60.0
_ANSWER_S = 60.0
_WARM_UP_REQUESTS = 50


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one number of clients met."""

    clients: int
    requests: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests_per_second: float


def serving(
    model: Annotated[Path, typer.Argument(help="A model folder that was exported.")],
    source: Annotated[
        str, typer.Option(help="Reviews to ask about: a folder, or imdb for the hub's copy.")
    ] = DEFAULT_SOURCE,
    requests: Annotated[int, typer.Option(min=64, help="At each number of clients.")] = 2000,
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8765,
    seed: Annotated[int, typer.Option(help="Of the reviews drawn.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the server; all cores.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
) -> None:
    """Measure the server's latency and throughput at 1, 8 and 64 clients."""
    threads = threads or available_cpus()
    drawn = sample(load_binary_reviews(source)["test"], requests, seed=seed)
    texts = list(drawn["text"])
    with _server(model, port, threads) as url:
        asyncio.run(_load(url, texts[:_WARM_UP_REQUESTS], _WARM_UP_REQUESTS, clients=1))
        loads = [asyncio.run(_load(url, texts, requests, clients=number)) for number in _CLIENTS]
    content = {
        "question": (__doc__ or "").splitlines()[0],
        "source": source,
        "requests": requests,
        "mean_characters": round(float(np.mean([len(text) for text in texts]))),
        "seed": seed,
        "threads": threads,
        "machine": machine_facts(),
        "versions": package_versions(*_PACKAGES),
        "loads": [asdict(load) for load in loads],
    }
    path = (results or RESULTS) / "serving.json"
    write_json(path, content)
    print(_markdown(content))
    print(f"Written to {path}")
    if any(load.failed for load in loads):
        raise typer.Exit(1)


@contextlib.contextmanager
def _server(model: Path, port: int, threads: int) -> Iterator[str]:
    """Run the command until the block ends, ready when it begins."""
    command = [sys.executable, "-m", "sentiment_lstm", "serve", str(model)]
    command += ["--port", str(port), "--threads", str(threads)]
    # Without a key in the environment, which the clients do not have.
    environment = {k: v for k, v in os.environ.items() if k != "SENTIMENT_LSTM_API_KEY"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + _READY_S
            while not _is_ready(url):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise SentimentError(f"The server did not start. It said: {log.read()[-500:]}")
                time.sleep(0.05)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


async def _load(url: str, texts: list[str], requests: int, *, clients: int) -> Load:
    """Let clients ask, each with a connection of its own, until all requests are answered."""
    places = iter(range(requests))
    seconds: list[float] = []
    failed = 0

    async def ask_on(client: httpx.AsyncClient) -> None:
        nonlocal failed
        for place in places:
            body = {"inputs": texts[place % len(texts)]}
            start = time.perf_counter()
            try:
                answer = await client.post("/predict", json=body)
                failed += answer.status_code != 200
            except httpx.HTTPError:
                failed += 1
            seconds.append(time.perf_counter() - start)

    async with contextlib.AsyncExitStack() as stack:
        asking = []
        for _ in range(clients):
            # Without certificates, which take longer to load than a review to classify.
            client = httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, verify=False)
            asking.append(await stack.enter_async_context(client))
            await client.get("/healthz")  # connects
        start = time.perf_counter()
        await asyncio.gather(*map(ask_on, asking))
        wall_s = time.perf_counter() - start
    p50, p95, p99 = (1000 * np.percentile(seconds, [50, 95, 99])).tolist()
    return Load(
        clients=clients,
        requests=requests,
        failed=failed,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        requests_per_second=(requests - failed) / wall_s,
    )


def _markdown(content: dict[str, Any]) -> str:
    rows = [
        [
            str(load["clients"]),
            *(f"{load[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
            f"{load['requests_per_second']:.0f}",
            str(load["failed"]),
        ]
        for load in content["loads"]
    ]
    return (
        f"{markdown_table(_HEAD, rows)}\n"
        f"{content['requests']:,} requests each, reviews of {content['mean_characters']:,} "
        f"characters on average; {machine_line(content['machine'], content['threads'])}."
    )


if __name__ == "__main__":
    run_script(serving)
