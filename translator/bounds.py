"""No body is read that is larger than any request may be: what does not fit is refused before it fills the memory."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from translator.settings import Limits

PER_CHAR = 16  # bytes: a character beyond the basic plane is twelve when JSON escapes it
BESIDE = 64 << 10  # bytes for all that is not text


class Bounded:
    """ASGI middleware that ends a request whose body grows beyond what the limits allow, announced or not."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._most = PER_CHAR * limits.total_chars + BESIDE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its body."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > self._most:
                    raise HTTPException(413, f"The body has more than {self._most} bytes.")
            return message

        await self._app(scope, counted, send)
