"""What every request passes before its route: the record, the key, the limit of the body."""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sentiment_lstm.serving.metrics import Metrics
from sentiment_lstm.serving.refusals import problem

__all__ = ["ITEMS", "ApiKey", "BodyLimit", "Record"]

access = logging.getLogger("sentiment_lstm.serving.access")

ITEMS = "sentiment_lstm.items"  # where a route leaves the number of its texts in the scope
_OPEN = ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")
_CLIENT_GONE = 499  # nginx's number for a client that hung up before it was answered


class Record:
    """Counts, times and logs each request; neither its text nor its query is written anywhere."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = _CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, watched)
        finally:
            self.metrics.in_flight.dec()
            seconds = time.perf_counter() - start
            # A path that a client made up would be a new series each time.
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            facts = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "milliseconds": round(1000 * seconds, 3),
                "items": scope.get(ITEMS, 0),
            }
            access.info("request", extra={"facts": facts})


class ApiKey:
    """Asks for `Authorization: Bearer KEY` everywhere but at health and metrics.

    A browser that opens the page can send no such header. It asks its user for a name and a
    password, and sends them as `Basic`: there the key is the password, and the name is free.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self.key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            headers = Headers(scope=scope)
            given = _given_key(headers.get("authorization", ""))
            if not hmac.compare_digest(given, self.key):
                told = "The API key is missing or wrong. Send it as `Authorization: Bearer KEY`."
                opened = "text/html" in headers.get("accept", "")
                challenge = 'Basic realm="The API key is the password"' if opened else "Bearer"
                answer = problem(401, told, {"WWW-Authenticate": challenge})
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _given_key(authorization: str) -> bytes:
    """Read the key out of a header; empty, which no key is, where there is none."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip().encode("latin-1")
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


class BodyLimit:
    """Reads a body whole before its route runs, and stops at the limit.

    The length that a client states is not trusted, and a chunked body states none: bytes are
    counted as they come.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or answer 408 or 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = Headers(scope=scope).get("content-length", "")
        if stated.isdecimal() and int(stated) > self.max_bytes:
            await self._too_large(scope, receive, send)
            return
        body = bytearray()
        try:
            async with asyncio.timeout(self.timeout_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self.max_bytes:
                        await self._too_large(scope, receive, send)
                        return
        except TimeoutError:
            answer = problem(
                408,
                f"The body was not complete after {self.timeout_s:g} s.",
                {"Connection": "close"},
            )
            await answer(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, replay, send)

    async def _too_large(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = problem(
            413,
            f"The body is larger than {self.max_bytes:,} bytes. Send fewer texts at once.",
            # What is left of the body is not read.
            {"Connection": "close"},
        )
        await answer(scope, receive, send)
