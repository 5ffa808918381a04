"""Errors as answers: the status that an error names, its message and hint as JSON, Retry-After where it is a 503, and
what the request is called. What nobody foresaw is a 500 that says no more than that; the log has the traceback.

`error` is the key that clients of the Open Inference Protocol read, and the only one that they show: below `/v2` it has
the hint too.
"""

from __future__ import annotations

import inspect
import logging
import math
import uuid
from collections.abc import Callable, Collection, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from modelhost.errors import InvalidRequest, ModelHostError, Superseded, Unauthenticated, Unavailable, Unknown
from modelhost.http.closing import LastAnswer
from modelhost.http.wording import spoken
from modelhost.routing.request import request_id

REQUEST_ID = "X-Request-Id"
_REMEMBERED = "modelhost.request_id"
_PROTOCOL = "/v2"
_log = logging.getLogger(__name__)
Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]


class TooLarge(InvalidRequest):
    """A body that is larger than this service takes. `is_unread`: its end has not come, and the connection is closed
    with the answer."""

    status = 413

    def __init__(self, message: str, hint: str = "", *, is_unread: bool = False) -> None:
        super().__init__(message, hint)
        self.is_unread = is_unread


class InternalError(ModelHostError):
    """What nobody foresaw: an exception of a model, of a service's own function, or of modelhost."""


class Problem(BaseModel):
    """Every error: what happened, what to do, and the name of the error."""

    error: str
    hint: str
    kind: str


def id_of(request: Request) -> str:
    """What this request is called from its first step to its answer: the caller's name for it, or one of ours."""
    named = request.scope.get(_REMEMBERED) or request_id(request.headers.get(REQUEST_ID)) or uuid.uuid4().hex
    request.scope[_REMEMBERED] = named
    return str(named)


def problem(error: ModelHostError, request: Request, is_protocol: bool = False) -> JSONResponse:
    """The answer that an error becomes. `is_protocol`: for clients that show `error` and nothing else."""
    named = id_of(request)
    if error.status == InternalError.status:
        said = type(error.__cause__).__name__ if isinstance(error, InternalError) else str(error)
        _log.error("request %s failed: %s", named, said, exc_info=error.__cause__)
    headers = {REQUEST_ID: named}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    kind = next(each.__name__ for each in type(error).__mro__ if not each.__name__.startswith("_"))
    hint = spoken(error.hint)
    said = f"{error.message}; {hint}" if is_protocol and hint else error.message
    content: dict[str, Any] = {"error": said, "hint": hint, "kind": kind}
    if isinstance(error, Superseded):
        content |= {"generation": error.generation, "versions": error.versions}
    kind_of_answer = LastAnswer if isinstance(error, TooLarge) and error.is_unread else JSONResponse
    return kind_of_answer(content, status_code=error.status, headers=headers)


async def handle(request: Request, error: Exception) -> Response:
    """An exception handler for a whole application: `app.add_exception_handler(ModelHostError, handle)`."""
    assert isinstance(error, ModelHostError)
    return problem(error, request)


def nowhere(prefix: str, own: Collection[str], before: Callable[[Request, Exception], Any]) -> Handler:
    """An exception handler of an application, for paths below `own` (each with one part, such as `/v2`) that lead
    nowhere; everything else, the service's own errors below them too, is for the handler `before`. Where a folder of
    files answers what nothing else does, it says 405 of a path that leads nowhere."""

    async def handler(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        root = str(request.scope.get("root_path", "")) + prefix
        path = request.url.path.removeprefix(root)
        first = "/" + path.removeprefix("/").partition("/")[0]
        if error.status_code in (404, 405) and "endpoint" not in request.scope and first in own:
            hint = "`/v2` has the Open Inference Protocol, with Triton's repository and binary data, and no more of it"
            lost = Unknown(f"nothing is at {path[:200]}", hint if first == _PROTOCOL else "see `/docs`")
            return problem(lost, request, first == _PROTOCOL)
        if inspect.iscoroutinefunction(before):
            return cast(Response, await before(request, error))
        return cast(Response, await run_in_threadpool(before, request, error))

    return handler
