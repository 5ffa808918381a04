"""LibreTranslate's API under `/libretranslate`: whoever has a client for it sets its base URL, and nothing else.

    POST /libretranslate/translate            q (a text, or an array: one batch), source, target, format, alternatives
    POST /libretranslate/detect               q
    GET  /libretranslate/languages            what can be translated into what
    GET  /libretranslate/frontend/settings    limits
    GET  /libretranslate/health               {"status": "ok"}, or 503

What differs, because this service is one: Chinese to English alone; detection tells scripts, not languages
(`detection.py`); there is one translation, so `alternatives` are empty lists; no key is asked for, one that is sent is
ignored; no files, no suggestions. A text without Chinese is handed back as it came, as when source and target are one.
Errors are `{"error": "…"}`: 400 what the caller can mend, 413 a body that is too large, 503 busy or loading.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from translator.answering import Answer, Answering
from translator.detection import CHINESE_CODE, ENGLISH_CODE, Detected, detect
from translator.errors import Refusal
from translator.libre_request import AUTO, Asked, checked, checked_texts, read_fields, refusal
from translator.markup import read_markup
from translator.naming import HEADER, in_header
from translator.settings import Limits
from translator.text import has_chinese

PREFIX = "/libretranslate"
NAMES = {CHINESE_CODE: "Chinese", ENGLISH_CODE: "English"}
FRONTEND_TIMEOUT = 500  # milliseconds without a key before a page translates; LibreTranslate's own figure


class Wrong(BaseModel):
    """The form of every error."""

    error: str


class Detection(BaseModel):
    """A language and how sure that is, 0 to 100."""

    language: str = Field(examples=["zh"])
    confidence: float


class Translated(BaseModel):
    """Strings for a string, lists for a list, in its order."""

    translatedText: str | list[str]
    detectedLanguage: Detection | list[Detection] | None = Field(None, description="Where `source` was `auto`")
    alternatives: list[str] | list[list[str]] | None = Field(None, description="Where some were asked for: none is had")
    fallback: bool | None = Field(None, description="True: a dictionary made this, no model; otherwise left out")


class Language(BaseModel):
    """A language and what it can be translated into."""

    code: str
    name: str
    targets: list[str]


@dataclass(frozen=True)
class Piece:
    """One text of a request: what of it the model sees, and how the answer is put together again."""

    parts: list[str]
    fill: Callable[[list[str]], str]
    detected: Detected


class Route(APIRoute):
    """A route whose errors have LibreTranslate's form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the framework, with errors mapped."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except Refusal as error:
                return problem(error.status, error.message)
            except HTTPException as error:
                return problem(error.status_code, str(error.detail), error.headers)

        return handler


def problem(status: int, message: str, headers: Any = None) -> JSONResponse:
    """`{"error": …}`. What this service cannot translate is 400 here, as every parameter that does not fit."""
    retry = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse({"error": message}, 400 if status == 422 else status, {**(headers or {}), **retry})


def add_libre(app: FastAPI, translate: Answering, limits: Limits, health: Callable[[], str] = lambda: "ok") -> None:
    """Answer LibreTranslate's requests under `PREFIX`. `health`: `ok` where the service is ready."""
    router = APIRouter(prefix=PREFIX, route_class=Route, tags=["LibreTranslate"])
    errors: dict[int | str, dict[str, Any]] = {code: {"model": Wrong} for code in (400, 413, 503)}
    exact: dict[str, Any] = {"response_model_exclude_none": True}

    @router.post("/translate", responses=errors, openapi_extra=described(TRANSLATE), **exact)
    async def libre_translate(request: Request, response: Response) -> Translated:
        asked = checked(await read_fields(request), limits)
        pieces = [piece(text, asked, index) for index, text in enumerate(asked.texts)]
        parts = [part for each in pieces for part in each.parts]
        answer = await translate(request, parts) if parts else None
        if answer is not None:
            response.headers.update(named(answer))
        return answered(asked, pieces, answer)

    @router.post("/detect", responses=errors, openapi_extra=described(DETECT))
    async def libre_detect(request: Request) -> list[Detection]:
        texts = checked_texts(await read_fields(request), limits)
        return [shown(detect(text)) for text in texts]

    @router.get("/languages")
    async def libre_languages() -> list[Language]:
        return [Language(code=code, name=name, targets=[ENGLISH_CODE]) for code, name in NAMES.items()]

    @router.get("/frontend/settings")
    async def libre_settings() -> dict[str, Any]:
        return frontend(limits)

    @router.get("/health", responses={503: {"model": Wrong}})
    async def libre_health() -> dict[str, str]:
        status = health()
        if status != "ok":
            raise Refusal(503, "loading", f"The service is not ready: {status}")
        return {"status": status}

    app.include_router(router)
    app.include_router(strays())


def strays() -> APIRouter:
    """What else comes under the prefix is answered in the same form, and not by the page's files."""
    router = APIRouter(prefix=PREFIX, route_class=Route, include_in_schema=False)
    takes = {"translate": "POST", "detect": "POST", "languages": "GET", "frontend/settings": "GET", "health": "GET"}

    @router.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    async def stray(path: str) -> Response:
        method = takes.get(path)
        if method is not None:
            raise HTTPException(405, f"This path takes {method}", {"Allow": method})
        raise HTTPException(404, f"There is no /{path} here; there are {', '.join(f'/{each}' for each in takes)}")

    return router


def piece(text: str, asked: Asked, index: int) -> Piece:
    """One text, taken apart as its form says; raises `Refusal` for a language that is detected and not served."""
    markup = read_markup(text) if asked.html else None
    detected = detect(markup.plain if markup else text)
    if asked.source == AUTO and not detected.served:
        where = "The text" if asked.single else f"Text {index} of q"
        found = "in a script that is not known here" if detected.language == "und" else f"{detected.language}"
        raise refusal(f"{where} is {found}, which is not supported: this service translates Chinese to English")
    if asked.source != ENGLISH_CODE:
        if markup and markup.texts():
            return Piece(markup.texts(), markup.fill, detected)
        if not markup and has_chinese(text):
            return Piece([text], lambda lines: lines[0], detected)
    return Piece([], lambda _: text, detected)


def answered(asked: Asked, pieces: list[Piece], answer: Answer | None) -> Translated:
    """The answer in the shape of `q`."""
    lines = iter(answer.lines if answer is not None else ())
    texts = [each.fill([next(lines) for _ in each.parts]) for each in pieces]
    detected = [shown(each.detected) for each in pieces] if asked.source == AUTO else None
    none: list[list[str]] = [[] for _ in pieces]
    return Translated(
        translatedText=texts[0] if asked.single else texts,
        detectedLanguage=detected[0] if detected and asked.single else detected,
        alternatives=(none[0] if asked.single else none) if asked.alternatives else None,
        fallback=True if answer is not None and answer.fallback else None,
    )


def named(answer: Answer) -> dict[str, str]:
    """Headers: who made the answer, and the id by which a thumb names it."""
    return {**answer.headers, HEADER: in_header(answer.version or "fallback"), "X-Request-Id": answer.request_id}


def shown(detected: Detected) -> Detection:
    """As `/detect` says it: a script that is not known is the `en` with confidence 0 that clients know."""
    if detected.language == "und":
        return Detection(language=ENGLISH_CODE, confidence=0.0)
    return Detection(language=detected.language, confidence=detected.confidence)


def frontend(limits: Limits) -> dict[str, Any]:
    """What a page for this API asks first."""
    source, target = ({"code": code, "name": name} for code, name in NAMES.items())
    return {
        "apiKeys": False,
        "charLimit": limits.chars,
        "filesTranslation": False,
        "frontendTimeout": FRONTEND_TIMEOUT,
        "keyRequired": False,
        "language": {"source": source, "target": target},
        "suggestions": False,
        "supportedFilesFormat": [],
    }


TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
DETECT = {"q": {**TEXTS, "example": "你好！"}, "api_key": {"type": "string", "description": "Ignored"}}
TRANSLATE = {
    **DETECT,
    "source": {"type": "string", "example": "auto", "description": "`zh` (also `zh-Hans`, `zh-CN`), `en` or `auto`"},
    "target": {"type": "string", "example": "en"},
    "format": {"type": "string", "enum": ["text", "html"], "default": "text"},
    "alternatives": {"type": "integer", "default": 0, "description": "There are none: an empty list is answered"},
}


def described(properties: dict[str, Any]) -> dict[str, Any]:
    """A request body for the API's description, as JSON and as a form."""
    required = [name for name in ("q", "source", "target") if name in properties]
    schema = {"type": "object", "required": required, "properties": properties}
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}
