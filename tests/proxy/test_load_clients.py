"""The load is a measuring instrument: it must see a loss, and must not make one up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from benchmarks import echo
from benchmarks.load import Load, Shot, percentiles

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """A server in a thread; gives its URL."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    address: list[int] = []

    async def listen() -> None:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        address.append(server.sockets[0].getsockname()[1])
        ready.set()

    def run() -> None:
        loop.create_task(listen())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{address[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def counted(url: str, requests: int, **options: object) -> object:
    with Load(url, clients=2, **options) as load:  # type: ignore[arg-type]
        while load.sent < requests:
            time.sleep(0.001)
        return load.stop()


async def _answer(writer: asyncio.StreamWriter, extra: bytes = b"", body: bytes = b"ok") -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Answer: me\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), extra, body))
    await writer.drain()


def test_it_counts_who_answered_get_and_post() -> None:
    with echo.running("blue") as port:
        result = counted(f"http://127.0.0.1:{port}", 200, shots=[Shot(), Shot.post_json("/", {"a": 1})])
    assert (result.failed, result.by_answer) == (0, {"blue": result.requests})
    assert result.connections == 2
    assert result.latencies["p50"] <= result.latencies["p99"] <= result.latencies["max"]


def test_the_answerer_may_be_named_in_the_body() -> None:
    with echo.running("blue") as port:
        url = f"http://127.0.0.1:{port}"
        assert counted(url, 20, answer="json:headers.host").by_answer.keys() == {f"127.0.0.1:{port}"}
        nobody = counted(url, 20, answer="json:no.such.field")
    assert nobody.failed == nobody.requests
    assert nobody.reasons == {"nobody's answer": nobody.requests}


def test_a_connection_closed_under_a_request_is_a_loss() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await _answer(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    with serving(handler) as url:
        result = counted(url, 40)
    assert result.failed > 0
    assert result.failed + sum(result.by_answer.values()) == result.requests
    assert set(result.reasons) <= {"closed without an answer", "ConnectionResetError"}


def test_an_answer_cut_short_is_a_loss() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Answer: me\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    with serving(handler) as url:
        result = counted(url, 10)
    assert result.failed == result.requests


def test_a_connection_that_the_server_announced_to_close_is_no_loss() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await _answer(writer, b"Connection: close\r\n")
        writer.close()

    with serving(handler) as url:
        result = counted(url, 40)
    assert result.failed == 0
    assert result.connections >= 40


@pytest.mark.parametrize(("status", "failed"), [(404, False), (500, True), (503, True)])
def test_only_the_servers_own_errors_are_losses(status: int, failed: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 %d X\r\nX-Answer: me\r\nContent-Length: 0\r\n\r\n" % status)
        writer.close()

    with serving(handler) as url:
        result = counted(url, 10)
    assert result.failed == (result.requests if failed else 0)


def test_nobody_listening_is_a_loss_and_does_not_hang() -> None:
    result = counted("http://127.0.0.1:9", 6)
    assert (result.failed, result.reasons) == (result.requests, {"ConnectionRefusedError": result.requests})


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentiles([]) == {}
    assert percentiles([float(n) for n in range(1, 101)]) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert percentiles([7.0]) == {"p50": 7, "p95": 7, "p99": 7, "max": 7}
