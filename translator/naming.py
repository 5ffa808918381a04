"""Every answer names the model that was in service, the page's too: `X-Model-Version`."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Model-Version"


class Named:
    """ASGI middleware that adds the header to every HTTP answer."""

    def __init__(self, app: ASGIApp, model_version: str) -> None:
        self._app = app
        self._header = (HEADER.lower().encode(), model_version.encode("latin-1", "replace"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the header in its answer."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), self._header]}
            await send(message)

        await self._app(scope, receive, named if scope["type"] == "http" else send)
