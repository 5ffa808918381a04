"""The HTTP application: translate, health, versions, feedback, switches and the page. Its words are in `schema.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from translator.answering import Answer, Answering
from translator.bounds import Bounded
from translator.bundle import name_of
from translator.errors import Refusal
from translator.feedback import Feedback, add_feedback
from translator.hosting import Hosting
from translator.libre import add_libre
from translator.metrics import Measured, Metrics
from translator.naming import HEADER, Named, in_header
from translator.schema import (
    ErrorAnswer,
    Health,
    Offered,
    TranslateRequest,
    TranslateResponse,
    Version,
    Versions,
    checked_texts,
)
from translator.service import Service
from translator.settings import Settings
from translator.state import state_folder

PAGE = Path(__file__).parent / "page"
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The body is not JSON (`bad_json`); two versions named (`bad_version`)"},
    404: {"model": ErrorAnswer, "description": "`?version=` names none of `GET /versions` (`unknown_version`)"},
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


def create_app(settings: Settings, on_failure: Callable[[], None] = lambda: None) -> FastAPI:
    """The application; models load once it starts, and `on_failure` is called if none can be. Raises `StartError`."""
    service = Service(Hosting.open(settings), on_failure)
    state = state_folder(settings)
    feedback = Feedback(settings.feedback or (state and state / "feedback.jsonl"), service.metrics.registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with service.http.serving(app):  # each line of a request names its version
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
    app.add_middleware(Named, serving=service.serving)
    app.add_middleware(Measured, metrics=service.metrics)
    answer_errors(app, service.metrics)  # before modelhost, which asks it about all that is not below its own paths
    service.http.install(app)

    async def answering(request: Request, texts: list[str]) -> Answer:
        answer = await service.translate(request, texts)
        feedback.remember(answer)
        return answer

    add_translate(app, answering, settings)
    add_state(app, service)
    add_feedback(app, feedback)
    add_libre(app, answering, settings.limits, service.health)
    # As the default, and not mounted: a mount would answer 404 to a GET of what takes only POST.
    app.router.default = Page(directory=PAGE, html=True)
    return app


def add_translate(app: FastAPI, answering: Answering, settings: Settings) -> None:
    """`POST /translate`."""

    @app.post("/translate", response_model=TranslateResponse, responses=ERRORS, summary="Translate Chinese to English")
    async def translate(body: TranslateRequest, request: Request, response: Response) -> TranslateResponse:
        began = time.perf_counter()
        texts = checked_texts(body.text, settings.limits)
        answer = await answering(request, texts)
        response.headers.update({**answer.headers, HEADER: in_header(answer.version or "fallback")})
        return TranslateResponse(
            translation=answer.lines[0] if isinstance(body.text, str) else answer.lines,
            model_version=answer.version,
            request_id=answer.request_id,
            fallback=answer.fallback,
            confidence=answer.confidence,
            took_ms=round((time.perf_counter() - began) * 1000, 2),
        )


def add_state(app: FastAPI, service: Service) -> None:
    """`GET /health`, `/version`, `/versions`."""
    release = service.hosting.settings.release

    @app.get("/health", response_model=Health, responses={503: {"model": Health}}, summary="Is it ready?")
    async def health(response: Response) -> Health:
        status = service.health()
        response.status_code = 200 if status == "ok" else 503
        return Health(status=status)

    @app.get("/version", response_model=Version, summary="Which release and which weights answer?")
    async def version() -> Version:
        network = service.network()
        return Version(
            release=release.version,
            revision=release.revision,
            created=release.created,
            model_version=service.serving(),
            weights_sha256=network.sha256 if network else "",
            engine=network.engine if network else "",
        )

    @app.get("/versions", response_model=Versions, summary="Which versions may be asked for?")
    async def versions() -> Versions:
        return Versions(
            serving=service.serving(),
            versions=[
                Offered(version=name_of(entry), state=state, engine=service.engine(entry), note=entry.info.note)
                for entry, state in service.hosting.versions()
            ],
        )


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
