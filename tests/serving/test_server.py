"""The command itself, in a process of its own, over a real socket."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sentiment_lstm.classifier import load
from sentiment_lstm.cli.serve import _listen
from tests.processes import wait_for

COMMAND = [sys.executable, "-m", "sentiment_lstm", "serve"]
LONGEST_S = 30.0
GOOD = "a moving and beautifully acted film"


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def start(folder: Path, log: Path, **environment: str) -> Server:
    """Start a server on a port that the system chooses, and wait until it is ready."""
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*COMMAND, str(folder), "--port", "0", "--threads", "1"],
            stderr=stream,
            text=True,
            env={**os.environ, **environment},
        )

    def listening() -> list[str]:
        return [line for line in log.read_text().splitlines() if '"listening"' in line]

    try:
        line, *_ = wait_for(listening, process, limit_s=LONGEST_S)
    except AssertionError:
        process.kill()
        pytest.fail(log.read_text())
    server = Server(process, json.loads(line)["port"], log)
    # The port is open before the model is ready; what asks meanwhile waits.
    assert httpx.get(f"{server.url}/readyz", timeout=LONGEST_S).status_code == 200
    return server


@pytest.fixture
def server(exported: Path, tmp_path: Path) -> Iterator[Server]:
    server = start(exported, tmp_path / "log")
    yield server
    if server.process.poll() is None:
        server.process.kill()
    server.process.wait()


def refused(arguments: list[str], **environment: str) -> str:
    """Give the sentence of a command that ends with exit status 2."""
    ended = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        env={**os.environ, **environment},
    )
    assert ended.returncode == 2, ended.stderr
    message = ended.stderr.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    return message


def test_a_server_answers_logs_json_without_texts_and_keeps_its_port(
    server: Server, exported: Path
):
    texts = [GOOD, "zyzzyva"]
    with httpx.Client(base_url=server.url) as client:
        answers = client.post("/predict", json={"inputs": texts}).json()
        assert client.post("/predict", content=b"{zyzzyva").status_code == 422
    expected = load(exported).predict(texts)
    for answer, prediction in zip(answers, expected, strict=True):
        assert answer[0]["label"] == prediction.label
        assert answer[0]["score"] == pytest.approx(prediction.confidence, abs=1e-6)

    message = refused([str(exported), "--port", str(server.port)])
    assert f"Port {server.port} of 127.0.0.1 is taken" in message
    assert httpx.get(f"{server.url}/readyz").status_code == 200

    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(LONGEST_S) == 0
    logged = [(line["path"], line["status"]) for line in server.lines() if "path" in line]
    assert logged.count(("/predict", 200)) == 1
    assert logged.count(("/predict", 422)) == 1
    assert "zyzzyva" not in server.log.read_text()


def test_clients_that_hang_up_leave_the_server_up(server: Server):
    body = json.dumps({"inputs": ["good film " * 2_000] * 20}).encode()
    head = (
        b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(body)
    )
    for sent in (head, head + body[:1_000], head + body, b"GET / HT", b"\x00\xff\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(sent)
    with httpx.Client(base_url=server.url, timeout=LONGEST_S) as client:
        assert client.post("/predict", json={"inputs": GOOD}).status_code == 200
        # 1 is the request that asks: the others are over, and held nothing back.
        wait_for(
            lambda: "sentiment_lstm_requests_in_flight 1.0" in client.get("/metrics").text,
            server.process,
            limit_s=LONGEST_S,
        )
    assert server.process.poll() is None
    assert not [line for line in server.lines() if "traceback" in line]


def test_a_chunked_body_is_stopped_at_the_limit(server: Server):
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1_000):
            sent += 100_000
            yield b" " * 100_000

    # The server may have closed the connection before all was sent: that is a refusal, too.
    try:
        answer = httpx.post(f"{server.url}/predict", content=chunks(), timeout=LONGEST_S)
        assert answer.status_code == 413
        assert list(answer.json()) == ["error"]
    except httpx.WriteError:
        pass
    assert 4_000_000 < sent < 100_000_000
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    statuses = [line["status"] for line in server.lines() if line.get("path") == "/predict"]
    assert statuses == [413]


def test_a_stop_finishes_the_request_that_runs_and_exits_with_0(server: Server):
    answers: queue.Queue[httpx.Response] = queue.Queue()
    body = {"inputs": ["good film " * 8_000] * 25}

    def ask() -> None:
        answers.put(httpx.post(f"{server.url}/predict", json=body, timeout=LONGEST_S))

    asking = threading.Thread(target=ask)
    asking.start()

    def running() -> bool:
        metrics = httpx.get(f"{server.url}/metrics", timeout=LONGEST_S).text
        two = "sentiment_lstm_requests_in_flight 2.0" in metrics  # it, and the one that asks
        assert two or answers.empty(), "the request was over before the server could be stopped"
        return two

    wait_for(running, server.process, limit_s=LONGEST_S)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(LONGEST_S) == 0
    asking.join(LONGEST_S)
    answer = answers.get_nowait()
    assert answer.status_code == 200
    assert len(answer.json()) == 25
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_the_key_is_taken_from_the_environment(exported: Path, tmp_path: Path):
    server = start(exported, tmp_path / "log", SENTIMENT_LSTM_API_KEY="s3cret")
    try:
        ask = {"url": f"{server.url}/predict", "json": {"inputs": GOOD}}
        assert httpx.post(**ask).status_code == 401
        assert httpx.post(**ask, headers={"Authorization": "Bearer s3cret"}).status_code == 200
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(LONGEST_S) == 0
        assert "s3cret" not in server.log.read_text()
    finally:
        server.process.kill()
        server.process.wait()


def test_a_folder_that_is_no_model_ends_with_a_sentence(exported: Path, tmp_path: Path):
    assert "nowhere" in refused([str(tmp_path / "nowhere"), "--port", "0"])
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    (damaged / "onnx" / "model.onnx").write_bytes(b"no graph")
    assert "model.onnx: not a readable ONNX file" in refused([str(damaged), "--port", "0"])


def test_answers_are_sent_at_once():
    with _listen("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            # What asyncio looks at before it turns Nagle's algorithm off.
            assert accepted.proto == socket.IPPROTO_TCP


def test_a_host_that_is_not_this_machines_ends_with_a_sentence(exported: Path):
    message = refused([str(exported), "--host", "192.0.2.1", "--port", "0"])
    assert "cannot be opened" in message


def test_without_the_extra_the_remedy_is_named(exported: Path, tmp_path: Path):
    # A finder that knows no fastapi stands in for an environment without it.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'fastapi':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    message = refused([str(exported)], PYTHONPATH=path)
    assert "sentiment-lstm[serve]" in message
