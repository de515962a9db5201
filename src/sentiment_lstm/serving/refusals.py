"""What a client is told when a request cannot be answered: one sentence under `error`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from sentiment_lstm.errors import SentimentError

__all__ = ["Refusal", "add_handlers", "problem", "validation_sentence"]

_UNION_TAGS = {"str", "list[str]"}
_LONGEST_NAME = 60
_SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is not known here; take it out",
    "string_type": "is not a string",
    "string_unicode": "holds half of a surrogate pair, which UTF-8 cannot encode",
    "list_type": "is not a list",
    "dict_type": "is not a JSON object",
    "model_type": "is not a JSON object",
    "model_attributes_type": "is not a JSON object",
    "too_short": "is empty",
    "int_type": "is not a whole number",
}


class Refusal(Exception):
    """A request that is not answered; the message is for its sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Give the body that every refusal has."""
    return JSONResponse({"error": message}, status_code=status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every kind of failure in one form, FastAPI's own included."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return problem(422, validation_sentence(error.errors()))

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 503 else None
        return problem(error.status, str(error), headers)

    @app.exception_handler(SentimentError)
    async def mistaken(_: Request, error: SentimentError) -> JSONResponse:
        return problem(422, str(error))

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # FastAPI's for bytes that json.loads cannot take
            return problem(422, "The body cannot be read as JSON in UTF-8.")
        sentence = {
            404: "There is no such path here. GET /docs lists those there are.",
            405: f"This path does not answer {request.method}. GET /docs says what it answers.",
        }.get(error.status_code, str(error.detail))
        return problem(error.status_code, sentence, error.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        return problem(500, "The server failed on this request; its log says why.")


def validation_sentence(errors: Sequence[Mapping[str, Any]]) -> str:
    """Turn pydantic's errors into one sentence that names where, and never what was sent."""
    # Of a union's errors, the deepest belongs to the kind that was meant; a list comes last.
    error = max(reversed(errors), key=lambda error: len(error["loc"]))
    kind, loc = error["type"], list(error["loc"])
    if kind == "json_invalid":
        reason = error.get("ctx", {}).get("error", "invalid")
        return f"The body is no JSON: {reason}, at character {loc[-1]}."
    if kind == "list_type" and loc[-1] == "list[str]":
        return f"{_place(loc)} is neither a text nor a list of texts."
    told = _SENTENCES.get(kind) or f"does not fit: {error['msg']}"
    if loc == ["body"] and kind in ("missing", "model_attributes_type"):
        told = "is not a JSON object, or was not sent as `Content-Type: application/json`"
    return f"{_place(loc)} {told}."


def _place(loc: Sequence[str | int]) -> str:
    where = ""
    for position, part in enumerate(loc):
        if part in _UNION_TAGS or (position == 0 and part == "body"):
            continue
        if isinstance(part, int):
            where += f"[{part}]"
        else:
            # A key of the client's own may be long, or no UTF-8.
            name = part if part.isascii() and part.isprintable() else ascii(part)[1:-1]
            where += f".{name[:_LONGEST_NAME]}" if where else name[:_LONGEST_NAME]
    return f"`{where}`" if where else "The body"
