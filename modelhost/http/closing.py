"""The end of a connection whose caller sends more than is taken: the answer goes out, and not much more is read.

A server that closes a connection on which something has come that it did not read resets it, and the caller may never
see the answer. So a small excess that comes soon is read to its end, and the connection stays; of any other the answer
says that the connection ends (`Connection: close`), and for a moment what comes is read and dropped (nginx:
`lingering_close`).
"""

from __future__ import annotations

from typing import Any

import anyio
from fastapi.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

EXCESS_BYTES = 1 << 20  # a caller who sends so much more keeps the connection,
EXCESS_SECONDS = 10.0  # where it has come by then: who waits for the answer first would send no more
LINGER_BYTES = 16 << 20
LINGER_SECONDS = 2.0


class LastAnswer(JSONResponse):
    """One after which the connection is closed, whatever its caller has yet to send."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As any answer."""
        await super().__call__(scope, receive, closing(scope, receive, send))


def closing(scope: Scope, receive: Receive, send: Send) -> Send:
    """A `send` for an answer after which the connection is closed; one of HTTP/2 is many requests', and stays."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start" and str(scope.get("http_version", "1.1")).startswith("1"):
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await send({**message, "more_body": True})  # the caller has it whole, and may stop
            with anyio.move_on_after(LINGER_SECONDS):
                await drained(receive, LINGER_BYTES)
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)

    return sent


async def excess_ended(receive: Receive) -> bool:
    """Whether a body that is too large comes to its end soon, with no more than a small excess; it is dropped."""
    with anyio.move_on_after(EXCESS_SECONDS):
        return await drained(receive, EXCESS_BYTES)
    return False


async def drained(receive: Receive, most: int) -> bool:
    """Reads a body on and drops it, `most` bytes of it or a little more; whether it came to its end."""
    while most > 0:
        message: dict[str, Any] = dict(await receive())
        if message["type"] != "http.request" or not message.get("more_body", False):
            return True
        most -= len(message.get("body", b""))
    return False
