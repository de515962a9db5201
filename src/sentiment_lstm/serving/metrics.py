"""What Prometheus reads: counts and durations, never a word of a text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]

_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """The figures of one app, in a registry of its own, so that two apps never add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sentiment_lstm_requests",
            "Requests that were answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "sentiment_lstm_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.texts = Counter(
            "sentiment_lstm_texts", "Texts that were classified.", registry=self.registry
        )
        self.in_flight = Gauge(
            "sentiment_lstm_requests_in_flight",
            "Requests that are being answered.",
            registry=self.registry,
        )

    def render(self) -> bytes:
        """Give the text format of Prometheus."""
        return generate_latest(self.registry)
