"""Readiness: does a slot answer that it is ready, within a bounded time. One request, no retry, no keep-alive."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

_HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Probe:
    """`ready` on a 2xx or 3xx; `detail` says what came instead. `seconds` is how long the answer took."""

    ready: bool
    detail: str
    seconds: float
    status: int | None = None


def probe(url: str, timeout: float = 1.0, clock: Callable[[], float] = time.monotonic) -> Probe:
    """Asks an http:// URL. The whole of it (connect, send, wait for the head of the answer) ends within `timeout`
    seconds even where the other side sends byte by byte. Never raises for what the other side does."""
    start = clock()
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError(f"{url!r} is no http:// URL")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: release\r\nConnection: close\r\n\r\n"
    try:
        head = _head((parts.hostname, parts.port or 80), request.encode(), start + timeout, clock)
    except TimeoutError:
        return Probe(False, f"no answer within {timeout:g} s", clock() - start)
    except OSError as error:
        return Probe(False, error.strerror or error.__class__.__name__, clock() - start)
    return _judge(head, clock() - start)


def _head(address: tuple[str, int], request: bytes, deadline: float, clock: Callable[[], float]) -> bytes:
    def left() -> float:
        remaining = deadline - clock()
        if remaining <= 0:
            raise TimeoutError
        return remaining

    with socket.create_connection(address, timeout=left()) as connection:
        connection.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
            connection.settimeout(left())
            received = connection.recv(8192)
            if not received:
                break
            head += received
    return head


def _judge(head: bytes, seconds: float) -> Probe:
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return Probe(False, "closed the connection without an answer" if not head else "no HTTP answer", seconds)
    status = int(words[1])
    return Probe(200 <= status < 400, f"answered {status}", seconds, status)
