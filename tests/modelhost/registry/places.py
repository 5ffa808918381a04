"""Where a remote registry lies in tests: a mounted directory, fsspec's memory, and S3 spoken over HTTP on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.registry.remote import RemoteRegistry


@dataclass
class Place:
    """Where a remote registry lies, and ways to damage it."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    write: Callable[[str, bytes], None] = lambda key, data: None
    names: Callable[[], list[str]] = list
    stop: Callable[[], None] = lambda: None

    def registry(self, cache: Path, **given: Any) -> RemoteRegistry:
        return RemoteRegistry(self.url, cache, self.options, **given)


@contextmanager
def s3_endpoint() -> Iterator[str]:
    """An S3 server, one request at a time: moto looks whether there is an object, and then writes it, in two acts
    between which another thread of it may write, where S3 knows one."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    assert server._server is not None
    answer, turn = server._server.app, threading.Lock()

    def in_turn(environ: Any, start_response: Any) -> Iterable[bytes]:
        with turn:
            return answer(environ, start_response)

    server._server.app = in_turn
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
