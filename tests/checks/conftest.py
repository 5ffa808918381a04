"""Real HTTP services on loopback, and the subjects that checks are asked about."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from release.checks.base import Subject, Target

# (method, path, JSON body or None) -> (status, body); bytes are sent as they are, anything else as JSON.
Answer = Callable[[str, str, Any], tuple[int, Any]]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is part of these tests."""


class Service:
    """A service that answers by a function; `requests` keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[tuple[str, str, Any]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet, or every answer waits for a delayed acknowledgement

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                parsed = json.loads(body) if body else None
                service.requests.append((self.command, self.path, parsed))
                status, content = service.answer(self.command, self.path, parsed)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _any

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Service]]:
    """Starts a service that answers by the given function."""
    running: list[Service] = []

    def start(answer: Answer) -> Service:
        running.append(Service(answer))
        return running[-1]

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., Subject]:
    """Makes a subject from URLs; `tree` and `work` are folders of this test."""
    for name in ("tree", "work"):
        (tmp_path / name).mkdir()

    def make(candidate: str, live: str | None = None, anchor: str | None = None, **options: Any) -> Subject:
        return Subject(
            Target(candidate, "v2.0.0-bbbbbbb", options.pop("image_id", "")),
            None if live is None else Target(live, "v1.0.0-aaaaaaa", options.pop("live_image_id", "")),
            tmp_path / "tree",
            tmp_path / "work",
            None if anchor is None else Target(anchor, "v0.9.0-9999999"),
            **options,
        )

    return make


class Stopped(Exception):
    """What `alive` raises in these tests."""


@pytest.fixture
def stops_after() -> Callable[[float], Callable[[], None]]:
    """An `alive` that raises Stopped once so many seconds have passed."""

    def make(seconds: float) -> Callable[[], None]:
        end = time.monotonic() + seconds

        def alive() -> None:
            if time.monotonic() >= end:
                raise Stopped

        return alive

    return make


@pytest.fixture
def stopped() -> type[Stopped]:
    return Stopped


def write_cases(tree: Path, rows: list[dict[str, str]], name: str = "cases.jsonl") -> None:
    (tree / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def cases(tmp_path: Path) -> Callable[..., None]:
    """Writes a benchmark set into the subject's tree."""

    def write(rows: list[dict[str, str]], name: str = "cases.jsonl") -> None:
        write_cases(tmp_path / "tree", rows, name)

    return write
