"""One deadline for a whole exchange over a socket, however the other side deals out its bytes.

A socket's own timeout counts from read to read: who sends a byte a second is never late by it.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from typing import Any

Left = Callable[[], float]


class Deadline:
    """The end of an exchange, `seconds` from its last `begin`; calling it gives the seconds that are left."""

    def __init__(self, seconds: float) -> None:
        self.begin(seconds)

    def begin(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self) -> float:
        """Raises TimeoutError where none is left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class Hurried:
    """A connected socket (a TLS one too) for http.client and urllib3: each send and receive gets what is left."""

    def __init__(self, connected: socket.socket, left: Left) -> None:
        self._socket, self._left = connected, left

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        if mode != "rb":
            raise ValueError(f"{mode!r}: read from it, and send with sendall")
        return io.BufferedReader(_Reads(self._socket, self._left))

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data, flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _Reads(io.RawIOBase):
    def __init__(self, connected: socket.socket, left: Left) -> None:
        super().__init__()
        self._socket, self._left = connected, left
        self._raw = connected.makefile("rb", buffering=0)  # counts as a user of the socket: close() waits for it

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Connection(http.client.HTTPConnection):
    """One question to one address (a path that begins with / is a unix socket), over by the deadline."""

    def __init__(self, address: str, seconds: float) -> None:
        path = address if address.startswith("/") else None
        super().__init__("localhost" if path else address)
        self._path, self._left = path, Deadline(seconds)

    def connect(self) -> None:
        self.timeout = self._left()
        if self._path is None:
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        self.sock = Hurried(self.sock, self._left)
