"""Requests to a service under test: one keep-alive connection, hard timeouts, and no retry that nobody sees.

A reply that never came is a value too: checks count failures, so nothing here raises for what a service does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from release.direct.deadline import Deadline, Hurried

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

    from release.config.checks import Request

PLACEHOLDER = "{source}"
_LARGEST_BODY = 32 << 20


@dataclass(frozen=True)
class Reply:
    """What came back. `status` is None where no answer came, and `error` then says why; `seconds` is wall time."""

    status: int | None
    seconds: float
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def excerpt(self, limit: int = 200) -> str:
        """One line for a person: the status and the beginning of the body, or why there is no answer."""
        if self.status is None:
            return self.error
        text = " ".join(self.body[: limit * 4].decode("utf-8", "replace").split())[:limit]
        return f"{self.status}: {text}" if text else f"{self.status} with an empty body"

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        import json

        return json.loads(self.body)


class Client:
    """Requests to one service over one connection that is kept alive; for one thread.

    Environment proxies, redirects and urllib3's retries are off: what is measured is the service itself.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go with every `send`, and before what a request says itself."""
        import requests

        self._url = url.rstrip("/")
        self._headers = dict(headers or {})
        self._deadline = Deadline(0)
        self._session = requests.Session()
        self._session.trust_env = False
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _adapter(self._deadline))

    def send(self, request: Request, source: str = "") -> Reply:
        """Sends `request` with every `{source}` replaced."""
        path, body = fill(request, source)
        return self._send(request.method, path, body, {**request.headers, **self._headers}, request.timeout)

    def get(self, path: str, timeout: float) -> Reply:
        return self._send("GET", path, None, {}, timeout)

    def close(self) -> None:
        self._session.close()

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str], timeout: float) -> Reply:
        import requests
        import urllib3

        url = self._url + (path if path.startswith("/") else f"/{path}")
        begin = time.monotonic()
        self._deadline.begin(timeout)
        try:
            with self._session.request(
                method, url, json=body, headers=headers, timeout=timeout, allow_redirects=False, stream=True
            ) as response:
                content = _read(response, self._deadline)
                seconds = time.monotonic() - begin
                names = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, seconds, content, names)
        except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
            return Reply(None, time.monotonic() - begin, error=f"no complete answer within {timeout:g} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Reply(None, time.monotonic() - begin, error=_reason(error))


def _adapter(deadline: Deadline) -> HTTPAdapter:
    """One connection at a time, each read and write of it within `deadline`: one that trickles holds no check."""
    import urllib3
    from requests.adapters import HTTPAdapter

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = Hurried(self.sock, deadline)

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = Hurried(self.sock, deadline)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return adapter


def _read(response: requests.Response, deadline: Deadline) -> bytes:
    """The whole body; TimeoutError past `deadline`, also where every read was in time."""
    parts: list[bytes] = []
    size = 0
    while part := response.raw.read1(65536, decode_content=True):  # what is there; iter_content waits for all 65536
        parts.append(part)
        size += len(part)
        if size > _LARGEST_BODY:
            raise ValueError(f"the answer is larger than {_LARGEST_BODY >> 20} MiB")
        deadline()
    return b"".join(parts)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: requests and urllib3 wrap a refused connection five times."""
    text = str(error)
    for known, words in (
        ("Connection refused", "connection refused"),
        ("Connection reset", "connection reset"),
        ("Remote end closed connection", "connection closed without an answer"),
        ("IncompleteRead", "connection closed in the middle of the answer"),
        ("timed out", "no complete answer in time"),
    ):
        if known in text:
            return words
    return f"{error.__class__.__name__}: {text[:160]}"


def fill(request: Request, source: str) -> tuple[str, Any]:
    """Path and JSON body of `request` with every `{source}` replaced; in the path it is percent-encoded."""
    return request.path.replace(PLACEHOLDER, quote(source, safe="")), _fill(request.json_, source)


def takes_source(request: Request) -> bool:
    """True where `{source}` stands somewhere in the path or the body."""
    return fill(request, "a") != fill(request, "b")


def _fill(value: Any, source: str) -> Any:
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, source)
    if isinstance(value, list):
        return [_fill(item, source) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, source) for key, item in value.items()}
    return value
