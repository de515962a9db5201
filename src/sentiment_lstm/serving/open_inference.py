"""The routes of the Open Inference Protocol, version 2, as KServe, Triton and MLServer have them.

Source: https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

import sentiment_lstm
from sentiment_lstm.classifier import Prediction
from sentiment_lstm.serving.refusals import Refusal
from sentiment_lstm.serving.schemas import (
    InferRequest,
    InferResponse,
    ModelMetadata,
    Problem,
    ServerMetadata,
)

__all__ = ["router"]

_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}

Predict = Callable[[Request, list[str]], Coroutine[Any, Any, list[Prediction]]]


def router(
    *,
    name: str,
    labels: list[str],
    predict: Predict,
    check_ready: Callable[[], None],
    refusals: dict[int | str, dict[str, Any]],
) -> APIRouter:
    """Put the protocol's routes together.

    Args:
        name: what the model is called in a path.
        labels: the columns of `probabilities`.
        predict: checks and classifies the texts of a request.
        check_ready: refuses until the model has answered once.
        refusals: what FastAPI is to say of the answers that are none.
    """
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @routes.get("", response_model=ServerMetadata)
    async def server() -> JSONResponse:
        """Say what answers here."""
        return JSONResponse(
            {"name": "sentiment-lstm", "version": sentiment_lstm.__version__, "extensions": []}
        )

    @routes.get("/health/live")
    async def live() -> dict[str, bool]:
        """Say that the server runs."""
        return {"live": True}

    @routes.get("/health/ready", responses={503: {"model": Problem}})
    async def ready() -> dict[str, bool]:
        """Say whether the model has answered once."""
        check_ready()
        return {"ready": True}

    @routes.get("/models/{model}", response_model=ModelMetadata, responses=_UNKNOWN)
    async def metadata(model: str) -> JSONResponse:
        """Say what the model takes and gives."""
        _check_name(model, name)
        outputs = [("label", "BYTES", [-1]), ("confidence", "FP32", [-1])]
        tensors = [*outputs, ("probabilities", "FP32", [-1, len(labels)])]
        return JSONResponse(
            {
                "name": name,
                "platform": "onnxruntime_onnx",
                "labels": labels,
                "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
                "outputs": [
                    {"name": tensor, "datatype": datatype, "shape": shape}
                    for tensor, datatype, shape in tensors
                ],
            }
        )

    @routes.get("/models/{model}/ready", responses={**_UNKNOWN, 503: {"model": Problem}})
    async def model_ready(model: str) -> dict[str, bool | str]:
        """Say whether the model has answered once."""
        _check_name(model, name)
        return {"name": name, **await ready()}

    @routes.post(
        "/models/{model}/infer", response_model=InferResponse, responses={**refusals, **_UNKNOWN}
    )
    async def infer(model: str, body: InferRequest, request: Request) -> JSONResponse:
        """Classify the texts of the tensor `text`."""
        _check_name(model, name)
        tensor = body.inputs[0]
        if math.prod(tensor.shape) != len(tensor.data):
            raise Refusal(
                422,
                f"`inputs[0].shape` asks for {math.prod(tensor.shape)} texts, and "
                f"`inputs[0].data` holds {len(tensor.data)}.",
            )
        outputs = _outputs(await predict(request, tensor.data), labels)
        if body.outputs:
            outputs = [outputs[asked.name] for asked in body.outputs]
        else:
            outputs = list(outputs.values())
        answer: dict[str, Any] = {"model_name": name, "outputs": outputs}
        if body.id is not None:
            answer["id"] = body.id
        return JSONResponse(answer)

    return routes


def _check_name(given: str, known: str) -> None:
    if given != known:
        raise Refusal(404, f"There is no such model here, only {known!r}.")


def _outputs(predictions: list[Prediction], labels: list[str]) -> dict[str, dict[str, Any]]:
    count = len(predictions)
    rows = np.array(
        [[prediction.probabilities[label] for label in labels] for prediction in predictions],
        dtype=np.float32,
    )  # (N, C)
    tensors = {
        "label": ("BYTES", [count], [prediction.label for prediction in predictions]),
        "confidence": ("FP32", [count], rows.max(axis=1).tolist()),
        "probabilities": ("FP32", [count, len(labels)], rows.reshape(-1).tolist()),
    }
    return {
        name: {"name": name, "datatype": datatype, "shape": shape, "data": data}
        for name, (datatype, shape, data) in tensors.items()
    }
