"""No body is read that is larger than any request may be: what does not fit is refused before it fills the memory."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelhost.http.closing import closing, excess_ended
from translator.settings import Limits

PER_CHAR = 16  # bytes: a character beyond the basic plane is twelve when JSON escapes it
BESIDE = 64 << 10  # bytes for all that is not text


class Bounded:
    """ASGI middleware that ends a request whose body grows beyond what the limits allow, announced or not. The
    connection is closed with the answer where there is much of it to come, or where the rest does not come."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._most = PER_CHAR * limits.total_chars + BESIDE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its body."""
        size, is_unread = 0, False

        async def counted() -> Message:
            nonlocal size, is_unread
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > self._most:
                    is_unread = bool(message.get("more_body")) and not await excess_ended(receive)
                    raise HTTPException(413, f"The body has more than {self._most} bytes.")
            return message

        last = closing(scope, receive, send)

        async def sent(message: Message) -> None:
            await (last if is_unread else send)(message)

        await self._app(scope, counted, sent)
