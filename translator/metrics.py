"""What the service counts, in Prometheus' terms, each application in a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 0.8, 1.5, 3.0, 10.0)
PATHS = frozenset(
    {"/", "/translate", "/health", "/version", "/versions", "/feedback", "/openapi.json", "/metrics"}
    | {"/libretranslate/translate", "/libretranslate/detect", "/libretranslate/languages", "/promote", "/rollback"}
)


class Metrics:
    """All series, in a registry that others may share. Names begin with `translator_`; times are in seconds."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.requests = Counter(
            "translator_requests", "Answered requests", ["path", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "translator_request_seconds",
            "Time from a request's headers to the end of its answer",
            ["path"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.errors = Counter("translator_errors", "Error answers by code", ["code"], registry=self.registry)
        self.tokens = Counter("translator_tokens", "Subword pieces by side", ["side"], registry=self.registry)
        self.sentences = Counter("translator_sentences", "Sentences translated", registry=self.registry)
        self.ready = Gauge("translator_ready", "1 once the model has translated something", registry=self.registry)
        self.waiting = Gauge("translator_waiting", "Requests in the queue", registry=self.registry)
        self.model = Info("translator_model", "The model that serves", registry=self.registry)
        ProcessCollector(registry=self.registry)


class Measured:
    """ASGI middleware that counts and times every HTTP request."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch the status of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = self._clock(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = scope["path"] if scope["path"] in PATHS else "other"
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.requests.labels(path, scope["method"], str(status)).inc()
            self._metrics.seconds.labels(path).observe(self._clock() - began)
