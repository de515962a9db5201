"""`sentiment-lstm serve`: a model folder in, an HTTP server out."""

from __future__ import annotations

import contextlib
import errno
import logging.config
import os
import signal
import socket
import sys
from typing import Annotated

import typer

from sentiment_lstm.cli import options
from sentiment_lstm.errors import SentimentError

__all__ = ["serve"]

_BACKLOG = 2_048


def serve(
    model: options.ExportedModel,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for every one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 for any free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="SENTIMENT_LSTM_API_KEY",
            show_envvar=True,
            help="Ask for `Authorization: Bearer KEY`. The variable keeps the key out of `ps`.",
        ),
    ] = None,
    max_body_bytes: Annotated[int, typer.Option(help="Larger bodies get 413.")] = 4_000_000,
    max_items: Annotated[int, typer.Option(help="Texts a request.")] = 128,
    max_characters: Annotated[int, typer.Option(help="Characters a text.")] = 100_000,
    max_waiting: Annotated[int, typer.Option(help="Requests that wait; more get 503.")] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds until a request gets 504.")] = 30.0,
    name: Annotated[
        str, typer.Option(help="The model's name in the Open Inference Protocol.")
    ] = "sentiment-lstm",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Requests scored at once. [default: one a CPU]")
    ] = None,
) -> None:
    """Answer over HTTP: /predict, /explain, the Open Inference Protocol, /metrics, /docs."""
    import uvicorn

    from sentiment_lstm.classifier import load
    from sentiment_lstm.serving.app import create_app
    from sentiment_lstm.serving.logs import log_config
    from sentiment_lstm.serving.settings import Settings

    # uvicorn raises the signal again when it has finished; without this, a stop that lost nothing
    # would look like a crash to whatever supervises the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.config.dictConfig(log_config())
    settings = Settings(
        max_body_bytes=max_body_bytes,
        max_items=max_items,
        max_characters=max_characters,
        max_waiting=max_waiting,
        timeout_s=timeout,
        api_key=api_key,
        model_name=name,
        model_folder=model,
    )
    # The port first: it fails at once, while a model takes a second to load.
    with _listen(host, port) as listener:
        app = create_app(load(model, threads=threads), settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            # One more than a request may take, so that none is cut off.
            timeout_graceful_shutdown=int(timeout) + 1,
        )
        address = listener.getsockname()
        logging.getLogger("sentiment_lstm.serving").info(
            "listening", extra={"facts": {"host": address[0], "port": address[1]}}
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio sets TCP_NODELAY only where it stands, and without that each
    # answer's body waits 40 ms for the client to acknowledge its head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere the option would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise SentimentError(
                f"Port {port} of {host} is taken: another server listens there. Stop that one, or "
                "choose another with --port."
            ) from error
        reason = error.strerror or error
        raise SentimentError(
            f"Port {port} of {host} cannot be opened ({reason}). Choose another --host or --port."
        ) from error
