"""The HTTP application: translate, health, version, metrics and the page. What it says is in `schema.py`."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from translator.bounds import Bounded
from translator.errors import Refusal, StartError, loading
from translator.metrics import Measured, Metrics
from translator.model import Translator
from translator.naming import Named
from translator.schema import ErrorAnswer, Health, TranslateRequest, TranslateResponse, Version, checked_texts
from translator.settings import Settings
from translator.text import lay_out
from translator.worker import Worker

LOG = logging.getLogger("uvicorn.error")
PAGE = Path(__file__).parent / "page"
WARM_UP = ["今天天气很好。", "这是第一次翻译，它让模型准备好回答真正的请求。"]
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body is not JSON (`bad_json`)"},
    413: {"model": ErrorAnswer, "description": "More than one request may ask for (`too_long`)"},
    422: {"model": ErrorAnswer, "description": "`wrong_type`, `empty_text` or `not_chinese`"},
    503: {"model": ErrorAnswer, "description": "`loading`, or too many requests wait (`busy`)"},
}


class Page(StaticFiles):
    """The page's files: nothing from elsewhere may run in it, and a browser asks again after a release."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, with the two headers."""
        response = super().file_response(*args, **kwargs)
        response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
        response.headers["Cache-Control"] = "no-cache"
        return response


class Service:
    """The model's way from loading to ready, and the worker that feeds it."""

    def __init__(self, settings: Settings, on_failure: Callable[[], None]) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.model.info({"version": settings.model_version})
        self.status = "loading"
        self.sha256 = ""
        self.worker: Worker | None = None
        self._on_failure = on_failure

    def start(self) -> None:
        """Load in a thread of its own: /health answers 503 from the first moment."""
        threading.Thread(target=self._load, name="loader", daemon=True).start()

    def _load(self) -> None:
        settings, began = self.settings, time.monotonic()
        try:
            translator = Translator.load(settings.model_dir, settings.threads, settings.beams, settings.allow_pickle)
            for text in WARM_UP:
                translator.translate([text])
        except Exception as error:
            LOG.error("%s", error, exc_info=not isinstance(error, StartError))
            self.status = "failed"
            self._on_failure()
            return
        worker = Worker(translator.translate, settings.limits.waiting)
        worker.start()
        self.worker, self.sha256, self.status = worker, translator.sha256, "ok"
        self.metrics.ready.set(1)
        LOG.info("model %s is ready after %.1f s", settings.model_version, time.monotonic() - began)

    def stop(self) -> None:
        """Finish what is queued."""
        if self.worker is not None:
            self.worker.close()

    def health(self) -> str:
        """`ok`, `loading` or `failed`."""
        if self.worker is not None and not self.worker.alive:
            return "failed"
        return self.status

    async def translate(self, texts: list[str]) -> list[str]:
        """Translate texts in the worker; raises `Refusal` while loading and when the queue is full."""
        if self.worker is None:
            raise loading()
        layouts = [lay_out(text) for text in texts]
        sentences = [layout.sentences() for layout in layouts]
        done = self.worker.submit([sentence for part in sentences for sentence in part])
        translated = await asyncio.wrap_future(done)
        self.metrics.tokens.labels("source").inc(translated.source_tokens)
        self.metrics.tokens.labels("target").inc(translated.target_tokens)
        self.metrics.sentences.inc(len(translated.lines))
        lines = iter(translated.lines)
        return [layout.fill([next(lines) for _ in part]) for layout, part in zip(layouts, sentences, strict=True)]


def create_app(settings: Settings, on_failure: Callable[[], None] = lambda: None) -> FastAPI:
    """The application; the model loads once it starts, and `on_failure` is called if it cannot be loaded."""
    service = Service(settings, on_failure)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="Translator",
        summary="Chinese to English",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Bounded, limits=settings.limits)
    app.add_middleware(Named, model_version=settings.model_version)
    app.add_middleware(Measured, metrics=service.metrics)
    answer_errors(app, service.metrics)

    @app.post("/translate", response_model=TranslateResponse, responses=ERRORS, summary="Translate Chinese to English")
    async def translate(body: TranslateRequest) -> TranslateResponse:
        began = time.perf_counter()
        texts = checked_texts(body.text, settings.limits)
        lines = await service.translate(texts)
        return TranslateResponse(
            translation=lines[0] if isinstance(body.text, str) else lines,
            model_version=settings.model_version,
            took_ms=round((time.perf_counter() - began) * 1000, 2),
        )

    @app.get("/health", response_model=Health, responses={503: {"model": Health}}, summary="Is it ready?")
    async def health(response: Response) -> Health:
        status = service.health()
        response.status_code = 200 if status == "ok" else 503
        return Health(status=status)

    @app.get("/version", response_model=Version, summary="Which release and which weights answer?")
    async def version() -> Version:
        return Version(
            release=settings.release.version,
            revision=settings.release.revision,
            created=settings.release.created,
            model_version=settings.model_version,
            weights_sha256=service.sha256,
        )

    @app.get("/metrics", response_class=Response, summary="Prometheus metrics")
    async def metrics() -> Response:
        service.metrics.waiting.set(service.worker.waiting if service.worker else 0)
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    # As the default, and not mounted: a mount would answer 404 to a GET of what takes only POST.
    app.router.default = Page(directory=PAGE, html=True)
    return app


def answer_errors(app: FastAPI, metrics: Metrics) -> None:
    """Give every error, also the framework's own, the one form that `schema.ErrorAnswer` describes."""

    def answer(refusal: Refusal, headers: Mapping[str, str] | None = None) -> JSONResponse:
        metrics.errors.labels(refusal.code).inc()
        retry = {"Retry-After": "1"} if refusal.status == 503 else {}
        return JSONResponse(refusal.body(), refusal.status, {**(headers or {}), **retry})

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        kinds = {detail["type"] for detail in error.errors()}
        if "json_invalid" in kinds:
            return answer(Refusal(400, "bad_json", "The body is not valid JSON."))
        expected = 'Send a JSON object {"text": "…"} or {"text": ["…", "…"]}, with Content-Type: application/json.'
        return answer(Refusal(422, "wrong_type", expected))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # bytes that are no text, nesting without end, a number of a million digits
            return answer(Refusal(400, "bad_json", "The body is not valid JSON."))
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_long"}.get(error.status_code, "http_error")
        return answer(Refusal(error.status_code, code, str(error.detail)), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer(Refusal(500, "internal", "The translation failed; the service's log says why."))
