"""A classifier in, an ASGI app out.

::

    POST /predict, /explain      texts in; labels and reasons out
    /v2/...                      the same labels in the Open Inference Protocol
    GET  /healthz, /readyz       whether it runs; whether the model has answered once
    GET  /metrics                for Prometheus
    GET  /docs                   all of this, to try out
    GET  /, /model/...           the page, and the files that it reads
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

import sentiment_lstm
from sentiment_lstm.classifier import Explanation, Prediction, TextClassifier
from sentiment_lstm.serving import open_inference
from sentiment_lstm.serving.files import add_docs, add_files
from sentiment_lstm.serving.metrics import Metrics
from sentiment_lstm.serving.middleware import ITEMS, ApiKey, BodyLimit, Record
from sentiment_lstm.serving.refusals import Refusal, add_handlers
from sentiment_lstm.serving.schemas import (
    Explained,
    ExplainParameters,
    ExplainRequest,
    PredictParameters,
    PredictRequest,
    Problem,
    Score,
)
from sentiment_lstm.serving.scorer import Scorer
from sentiment_lstm.serving.settings import Settings
from sentiment_lstm.text import check_texts

__all__ = ["create_app"]

_WARM_UP = "A wonderful film, beautifully acted."
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (401, 408, 413, 422, 503, 504)
}


def create_app(classifier: TextClassifier, settings: Settings | None = None) -> FastAPI:
    """Put a classifier behind HTTP.

    Args:
        classifier: a loaded one; of ONNX Runtime, as many requests are scored at once as it has
            threads, of PyTorch, which takes all cores for each, one.
        settings: the limits.
    """
    settings = settings or Settings()
    metrics = Metrics()
    service = _Service(classifier, settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # The first prediction allocates and is slow; no client should be the one to wait for it.
        classifier.predict([_WARM_UP])
        service.ready = True
        yield
        service.ready = False
        service.scorer.close()

    app = FastAPI(
        title="sentiment-lstm",
        version=sentiment_lstm.__version__,
        lifespan=lifespan,
        docs_url=None,  # both would take their scripts from another host
        redoc_url=None,
    )
    add_handlers(app)

    @app.post("/predict", response_model=list[Score] | list[list[Score]], responses=_REFUSALS)
    async def predict(body: PredictRequest, request: Request) -> JSONResponse:
        """Classify one text or a list; one list of labels each, the most probable first."""
        top_k = (body.parameters or PredictParameters()).top_k
        found = await service.predict(request, body.texts())
        return JSONResponse(body.shaped([_scores(one, top_k) for one in found]))

    @app.post("/explain", response_model=Explained | list[Explained], responses=_REFUSALS)
    async def explain(body: ExplainRequest, request: Request) -> JSONResponse:
        """Classify one text or a list, and say which words spoke for it and against it."""
        label = (body.parameters or ExplainParameters()).label
        found = await service.explain(request, body.texts(), label)
        return JSONResponse(body.shaped([_explained(one) for one in found]))

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, bool]:
        """Say that the server runs."""
        return {"live": True}

    @app.get("/readyz", tags=["health"], responses={503: {"model": Problem}})
    async def readyz() -> dict[str, bool]:
        """Say whether the model has answered once."""
        service.check_ready()
        return {"ready": True}

    @app.get("/metrics", include_in_schema=False)
    async def figures() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    app.include_router(
        open_inference.router(
            name=settings.model_name,
            labels=classifier.labels,
            predict=service.predict,
            check_ready=service.check_ready,
            refusals=_REFUSALS,
        )
    )
    add_files(app, settings.model_folder)
    add_docs(app)
    # The last one added is the first one passed.
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.timeout_s)
    if settings.api_key is not None:
        app.add_middleware(ApiKey, key=settings.api_key)
    app.add_middleware(Record, metrics=metrics)
    return app


class _Service:
    """The classifier with its limits: what every route that takes texts asks."""

    def __init__(self, classifier: TextClassifier, settings: Settings, metrics: Metrics) -> None:
        self.ready = False
        self.scorer = Scorer(
            threads=getattr(classifier, "threads", 1),
            max_waiting=settings.max_waiting,
            timeout_s=settings.timeout_s,
        )
        self._classifier = classifier
        self._settings = settings
        self._metrics = metrics

    def check_ready(self) -> None:
        if not self.ready:
            raise Refusal(503, "The model is not ready yet.")

    async def predict(self, request: Request, texts: list[str]) -> list[Prediction]:
        self._check(request, texts)
        # A label is never withheld here: the client sees its score and may do so itself.
        predictions = await self.scorer.run(lambda: self._classifier.predict(texts, abstain=0.0))
        self._metrics.texts.inc(len(texts))
        return predictions

    async def explain(
        self, request: Request, texts: list[str], label: str | None
    ) -> list[Explanation]:
        self._check(request, texts)
        found = await self.scorer.run(lambda: self._classifier.explain(texts, label=label))
        self._metrics.texts.inc(len(texts))
        return found

    def _check(self, request: Request, texts: list[str]) -> None:
        request.scope[ITEMS] = len(texts)
        limits = self._settings
        if len(texts) > limits.max_items:
            raise Refusal(
                422,
                f"There are {len(texts):,} texts, more than the {limits.max_items:,} that are "
                "taken at once. Send them in parts.",
            )
        check_texts(texts, max_characters=limits.max_characters)


def _scores(prediction: Prediction, top_k: int | None) -> list[dict[str, Any]]:
    ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return [{"label": label, "score": score} for label, score in ranked[:top_k]]


def _explained(explanation: Explanation) -> dict[str, Any]:
    return {
        "label": explanation.label,
        "confidence": explanation.prediction.probabilities[explanation.label],
        "method": explanation.method,
        "logit": explanation.logit,
        "base": explanation.base,
        "words": [word.to_dict() for word in explanation.words],
    }
