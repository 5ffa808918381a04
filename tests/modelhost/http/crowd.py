"""Clients that keep their connections and count what they were answered, and the words of HTTP that they need."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answer = tuple[int, dict[str, str], bytes]
Judge = Callable[[dict[str, str], dict[str, Any]], str]
"""Headers and body of a good answer → under which name it counts."""


async def post(port: int, streams: Streams, path: str, body: bytes, token: str = "") -> Answer:
    """One request on a connection that stays open."""
    reader, writer = streams
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{bearer}Content-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    told = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in told[1:] if line)}
    return int(told[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


class Crowd:
    """`clients` at once, each on one connection from the beginning to the end. `seen` counts answers by name.

    What is no 200 counts as `failed`; a connection that the server closes ends the test with an error.
    """

    def __init__(self, port: int, path: str, body: bytes, judge: Judge, clients: int) -> None:
        self.seen: Counter[str] = Counter()
        self.clients = clients
        self._port, self._path, self._body, self._judge = port, path, body, judge
        self._done = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._running = [asyncio.create_task(self._client()) for _ in range(self.clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done.set()
        await asyncio.gather(*self._running)

    async def more(self, answers: int) -> None:
        """Waits until so many more were answered. Raises what ended a client."""
        wanted = self.seen.total() + answers
        while self.seen.total() < wanted:
            for client in self._running:
                if client.done():
                    client.result()
            await asyncio.sleep(0.005)

    async def _client(self) -> None:
        streams = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while not self._done.is_set():
                status, headers, content = await post(self._port, streams, self._path, self._body)
                self.seen[self._judge(headers, json.loads(content)) if status == 200 else "failed"] += 1
        finally:
            streams[1].close()
