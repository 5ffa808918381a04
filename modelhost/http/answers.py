"""Errors as answers: the status that an error names, its message and hint as JSON, Retry-After where it is a 503.

`error` is the key that clients of the Open Inference Protocol read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from modelhost.errors import InvalidRequest, ModelHostError, Superseded, Unauthenticated, Unavailable

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class TooLarge(InvalidRequest):
    """A body that is larger than this service takes."""

    status = 413


class Problem(BaseModel):
    """Every error: what happened, what to do, and the name of the error."""

    error: str
    hint: str
    kind: str


def problem(error: ModelHostError) -> JSONResponse:
    """The answer that an error becomes."""
    headers = {}
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    kind = next(each.__name__ for each in type(error).__mro__ if not each.__name__.startswith("_"))
    content: dict[str, Any] = {"error": error.message, "hint": error.hint, "kind": kind}
    if isinstance(error, Superseded):
        content |= {"generation": error.generation, "versions": error.versions}
    return JSONResponse(content, status_code=error.status, headers=headers)


async def handle(request: Request, error: Exception) -> Response:
    """An exception handler for a whole application: `app.add_exception_handler(ModelHostError, handle)`."""
    assert isinstance(error, ModelHostError)
    return problem(error)


class Route(APIRoute):
    """A route whose errors are answers, wherever it is mounted."""

    def get_route_handler(self) -> Handler:
        """The handler of the framework, with errors mapped."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except ModelHostError as error:
                return problem(error)
            except RequestValidationError as error:
                found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
                return problem(InvalidRequest(f"the request cannot be read: {found}"))

        return handler
