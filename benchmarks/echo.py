"""A backend that answers at once and says who it is: the smallest thing that can stand in a slot.

Every answer is JSON in a keep-alive HTTP/1.1 response, with the name in the header `X-Answer` too. Paths:

    /              {"answer": NAME, "method", "path", "host", "bytes", "headers"}
    /slow?s=0.5    the same, after so many seconds
    /events?n=5&s=0.1   server-sent events, one every s seconds, each naming the backend
    /ws            a WebSocket that returns what it is sent (text up to 125 bytes), after the backend's name
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

_WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def number(self, name: str, default: float) -> float:
        return float(self.query.get(name, [str(default)])[0])


class Echo:
    """One backend; `delay` seconds are added to every plain answer."""

    def __init__(self, name: str, delay: float = 0.0) -> None:
        self.name = name
        self.delay = delay

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    break
        writer.close()

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if request.path == "/events":
            await self._events(request, writer)
            return False
        if request.headers.get("upgrade", "").lower() == "websocket":
            await self._websocket(request, reader, writer)
            return False
        delay = request.number("s", 0) if request.path == "/slow" else self.delay
        if delay:
            await asyncio.sleep(delay)
        writer.write(_response(self.name, self._body(request)))
        await writer.drain()
        return request.headers.get("connection", "").lower() != "close"

    def _body(self, request: Request) -> bytes:
        said = {"answer": self.name, "method": request.method, "path": request.path, "bytes": len(request.body)}
        return json.dumps(said | {"host": request.headers.get("host"), "headers": dict(request.headers)}).encode()

    async def _events(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for number in range(int(request.number("n", 5))):
            writer.write(f"data: {self.name} {number}\n\n".encode())
            await writer.drain()
            await asyncio.sleep(request.number("s", 0.1))

    async def _websocket(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        key = request.headers["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET, usedforsecurity=False).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        writer.write(_frame(self.name.encode()))
        while True:
            first, length = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await reader.readexactly(length & 127)))
            writer.write(_frame(payload, first & 15))
            await writer.drain()
            if first & 15 == 8:
                return


@contextlib.contextmanager
def running(name: str, port: int = 0, delay: float = 0.0) -> Iterator[int]:
    """A backend in a process of its own for as long as the block lasts; gives its port on 127.0.0.1."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_process, args=(name, port, delay, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield int(ours.recv())
    finally:
        process.terminate()
        process.join(10)


def _process(name: str, port: int, delay: float, ready: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_listen(Echo(name, delay), port, ready))


async def _listen(echo: Echo, port: int, ready: Connection | None = None) -> None:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", port, backlog=1024)
    if ready is not None:
        ready.send(server.sockets[0].getsockname()[1])
        ready.close()
    await server.serve_forever()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request on the connection; None at its end. Bodies need a Content-Length."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines) if key}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, parts.path, parse_qs(parts.query), headers, body)


def _response(name: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nX-Answer: {name}\r\n\r\n"
    )
    return head.encode() + body


def _frame(payload: bytes, opcode: int = 1) -> bytes:
    return bytes([0x80 | opcode, len(payload)]) + payload


def main() -> None:
    parser = argparse.ArgumentParser(description="An echo service for one slot.")
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer")
    arguments = parser.parse_args()
    asyncio.run(_listen(Echo(arguments.name, arguments.delay), arguments.port))


if __name__ == "__main__":
    main()
