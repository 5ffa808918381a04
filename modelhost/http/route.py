"""Routes whose errors are answers, wherever they are mounted: those that were foreseen, and those that were not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from modelhost.errors import InvalidRequest, ModelHostError, mistakes
from modelhost.http.answers import InternalError, id_of, problem


class MethodNotAllowed(InvalidRequest):
    """A path that there is, asked in a way that there is not."""

    status = 405


class Route(APIRoute):
    """A route of modelhost."""

    is_protocol = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the framework, with errors mapped."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except HTTPException:
                raise
            except Exception as error:
                return problem(_known(error, request), request, self.is_protocol)

        return handler

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the framework does, where the method is one of this route's."""
        if not self.methods or scope["method"] in self.methods:
            await super().handle(scope, receive, send)
            return
        there = ", ".join(sorted(self.methods))
        error = MethodNotAllowed(f"{scope['method'][:20]} is nothing that can be done here", f"there is {there}")
        answer = problem(error, Request(scope), self.is_protocol)
        answer.headers["Allow"] = there
        await answer(scope, receive, send)


class ProtocolRoute(Route):
    """One whose clients show `error` and nothing else."""

    is_protocol = True


def _known(error: Exception, request: Request) -> ModelHostError:
    """The error as one of ours. What nobody foresaw says nothing of the inside."""
    if isinstance(error, ModelHostError):
        return error
    if isinstance(error, RequestValidationError):
        return InvalidRequest(f"the request cannot be read: {mistakes(error.errors(), 'the request')}")
    failed = InternalError("the service failed at this request", f"its log has the reason, at request {id_of(request)}")
    failed.__cause__ = error
    return failed
