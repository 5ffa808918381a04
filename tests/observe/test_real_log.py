"""What the managed nginx writes is what the guard reads: real requests, real failures, a rotation between them."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from release.config.manifest import Manifest
from release.naming import Slot
from release.observe.budget import Budget
from release.observe.evidence import Counts
from release.observe.guard import Guard, Trip
from release.observe.samples import AccessLog
from release.proxy import logs
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx
from tests.support.ports import free_ports

BUDGET = Budget(max_error_rate=0.01, p95=None, min_requests=5)


class _Service(BaseHTTPRequestHandler):
    """Answers with the status that the path ends with; `/slow` waits until the client has left, `/stream` begins at
    once and ends when it is told."""

    asked, left, over = threading.Event(), threading.Event(), threading.Event()

    def do_GET(self) -> None:
        if self.path == "/slow":
            self.asked.set()
            self.left.wait(120)
            return
        if self.path == "/stream":
            self._stream()
            return
        self.send_response(int(self.path[-3:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: one\n\n")
        self.wfile.flush()
        self.over.wait(60)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def green() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def proxy(tmp_path: Path, green: int) -> Iterator[ManagedNginx]:
    listen, admin, blue = free_ports(3)
    manifest = Manifest.model_validate(
        {
            "service": "observed",
            "container": {"port": 5000},
            "slots": {"blue": blue, "green": green},
            "proxy": {"listen": listen, "admin": admin, "address": "127.0.0.1"},
        }
    )
    proxy = ManagedNginx(manifest, tmp_path)
    proxy.switch.set(Traffic.all_to(Slot.GREEN, "d-1"))
    proxy.install()
    yield proxy
    proxy.uninstall()


def ask(proxy: ManagedNginx, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.manifest.proxy.listen, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def leave(proxy: ManagedNginx) -> None:
    """Sends a request and goes away without waiting for its answer; returns once nginx has seen that."""
    with socket.create_connection(("127.0.0.1", proxy.manifest.proxy.listen)) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert _Service.asked.wait(60), "nginx did not pass it on"
    end = time.monotonic() + 60
    while b'"499"' not in proxy.access_log.read_bytes():
        assert time.monotonic() < end, "nginx did not see that the client has left"
        time.sleep(0.01)


def collect(log: AccessLog, guard: Guard, expected: Counts) -> None:
    """nginx writes a line after the answer: follows the log until the counts are there, or a minute has gone."""
    samples, cursor = log.follow(guard.since)
    deadline = time.monotonic() + 60
    while True:
        guard.add(samples)
        if guard.counts == expected or time.monotonic() > deadline:
            return
        time.sleep(0.05)
        samples, cursor = log.since(cursor)


def test_the_guard_counts_what_really_happened_across_a_rotation(proxy: ManagedNginx) -> None:
    guard = Guard(Slot.GREEN, BUDGET, since=time.time() - 0.01)
    log = AccessLog(proxy.access_log)
    assert [ask(proxy, path) for path in ("/a/200", "/caf%E9/200", "/422", "/500", "/404")] == [200, 200, 422, 500, 404]
    leave(proxy)
    _Service.left.set()
    logs.shift(proxy.access_log)
    logs_before = proxy.access_log.with_name("access.json.1").stat().st_size
    assert logs_before > 0 and ask(proxy, "/b/200") == 200
    proxy._master.signal(signal.SIGUSR1)  # nginx opens a new log
    while not proxy.access_log.exists():
        time.sleep(0.01)
    assert ask(proxy, "/c/200") == 200
    expected = Counts(requests=7, errors=1, refused=1, abandoned=1)
    collect(log, guard, expected)
    assert guard.counts == expected and log.unreadable == 0
    again = Guard(Slot.GREEN, BUDGET, since=guard.since)
    again.add(log.window(guard.since, time.time()))
    assert again.counts == expected


def test_a_slot_that_answers_nothing_trips_the_guard(proxy: ManagedNginx) -> None:
    guard = Guard(Slot.BLUE, BUDGET, since=time.time() - 0.01)
    proxy.switch.set(Traffic.all_to(Slot.BLUE, "d-2"))
    assert [ask(proxy, "/200") for _ in range(5)] == [502] * 5
    collect(AccessLog(proxy.access_log), guard, Counts(requests=5, errors=5))
    decision = guard.decide()
    assert isinstance(decision, Trip) and "errors" in decision.reason


def test_a_stream_counts_by_its_beginning(proxy: ManagedNginx) -> None:
    since = time.time() - 0.01
    with socket.create_connection(("127.0.0.1", proxy.manifest.proxy.listen), timeout=60) as client:
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        heard = b""
        while b"data: one" not in heard:
            heard += client.recv(1000)
        time.sleep(0.5)  # what it lasts beyond its beginning, at least
        _Service.over.set()
        while client.recv(1000):
            pass
    collect(AccessLog(proxy.access_log), Guard(Slot.GREEN, BUDGET, since=since), Counts(requests=1))
    [sample] = AccessLog(proxy.access_log).follow(since)[0]
    assert sample.answer_time is not None and sample.upstream_time is not None
    assert sample.upstream_time >= sample.answer_time + 0.4
