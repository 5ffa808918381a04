"""Every answer names its model: the one that made it, or, as on the page, the one that serves: `X-Model-Version`.

A model is called as its folder is, in whatever script; what no header can hold is percent-encoded there.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Model-Version"
NAME = HEADER.lower().encode()

PLAIN = string.punctuation.replace("%", "")  # beside letters and digits


def in_header(name: str) -> str:
    """The name of a model as a header takes it: `v1.1.0` as it is, `模型` percent-encoded."""
    return quote(name, safe=PLAIN)


class Named:
    """ASGI middleware that adds the header to every HTTP answer that lacks it. `serving`: the model that serves."""

    def __init__(self, app: ASGIApp, serving: Callable[[], str]) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with the header in its answer."""

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                if all(name.lower() != NAME for name, _ in headers):
                    headers.append((NAME, in_header(self._serving()).encode("ascii")))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, named if scope["type"] == "http" else send)
