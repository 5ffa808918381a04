"""A body that is too large is refused, whether the rest of it comes or not."""

from __future__ import annotations

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message

from modelhost.http import closing
from translator.bounds import Bounded
from translator.settings import Settings

SCOPE = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/", "headers": [], "query_string": b""}


async def read(request: Request) -> Response:
    """An endpoint that wants the whole body."""
    return Response(str(len(await request.body())))


@pytest.mark.parametrize(("is_whole", "connection"), [(True, None), (False, b"close")])
def test_who_waits_for_an_answer_with_the_rest_of_a_body_has_one(
    is_whole: bool, connection: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "EXCESS_SECONDS", 60.0 if is_whole else 0.05)
    monkeypatch.setattr(closing, "LINGER_SECONDS", 0.05)
    app = Bounded(Starlette(routes=[Route("/", read, methods=["POST"])]), Settings.from_environment({}).limits)
    messages = [{"type": "http.request", "body": b"x" * (app._most + 1), "more_body": True}]
    if is_whole:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    sent: list[Message] = []

    async def receive() -> Message:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        with anyio.fail_after(60):
            await app(dict(SCOPE), receive, send)

    anyio.run(ask)
    assert (sent[0]["status"], dict(sent[0]["headers"]).get(b"connection")) == (413, connection)
    assert not sent[-1].get("more_body")
