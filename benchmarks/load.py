"""A load of clients that keep connections alive and never retry: what it counts as lost, a user has lost.

`requests` and most other libraries send a request again when a kept connection turns out closed, and hide the loss.
These clients are sockets in a process of their own. One that sees the end of its connection before it sends the next
request opens another, as any client would; one that finds out afterwards has lost the request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import itertools
import json
import math
import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_KEPT_FAILURES = 1000


@dataclass(frozen=True)
class Shot:
    """One request to send, over and over."""

    method: str = "GET"
    path: str = "/"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def post_json(cls, path: str, value: object) -> Shot:
        return cls("POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class Failure:
    """A request that was lost or refused; `at` in seconds since 1970, `seconds` from its first byte sent."""

    at: float
    method: str
    path: str
    reason: str
    seconds: float


class Exchange(NamedTuple):
    """One request, by time.perf_counter() of this machine; `answer` says who answered, None where it failed."""

    began: float
    ended: float
    answer: str | None


@dataclass(frozen=True)
class LoadResult:
    """`by_answer` counts who answered, `latencies` are percentiles in seconds of the answered requests.

    `failures` holds the first thousand, `reasons` counts all of them. `exchanges` is every request, where the load was
    told to keep them.
    """

    requests: int
    failed: int
    by_answer: dict[str, int]
    failures: list[Failure]
    latencies: dict[str, float]
    by_status: dict[str, int]
    reasons: dict[str, int]
    connections: int
    seconds: float
    exchanges: list[Exchange] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    url: str
    shots: tuple[Shot, ...]
    clients: int
    pause: float
    answer: str
    timeout: float
    keep: bool


JITTER = (0.5, 1.5)  # or those who waited for the same answer would come together from then on


class Load:
    """`clients` connections to `url`, each sending the shots in turn, with about `pause` seconds between two of
    its own.

    `answer` tells who answered: `header:NAME`, or `json:FIELD` of the body (dots go deeper). An answer of status 500
    or above counts as failed, and so does one without that field. `keep`: the result has every request with its times.
    Also a context manager; then see `result`.
    """

    def __init__(
        self,
        url: str,
        shots: Sequence[Shot] = (Shot(),),
        *,
        clients: int = 16,
        pause: float = 0.0,
        answer: str = "header:X-Answer",
        timeout: float = 10.0,
        keep: bool = False,
    ) -> None:
        self._plan = _Plan(url, tuple(shots), clients, pause, answer, timeout, keep)
        self._process: Any = None
        self.result: LoadResult | None = None

    def start(self) -> None:
        """Returns once every client has its first answer, or its first failure."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._flying = context.RawValue(ctypes.c_int, 0)
        self._sent = context.RawValue(ctypes.c_long, 0)
        self._process = context.Process(
            target=_run, args=(self._plan, theirs, self._flying, self._sent), name="load", daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered, now."""
        return int(self._flying.value)

    @property
    def sent(self) -> int:
        return int(self._sent.value)

    def stop(self) -> LoadResult:
        """Lets every client finish the request it has begun. Raises RuntimeError where the load itself broke."""
        self._pipe.send("stop")
        self.result = LoadResult(**self._receive())
        self._process.join(10)
        return self.result

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.result is None:
            with contextlib.suppress(RuntimeError, OSError):
                self.stop()
        self._process.kill()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("the load's own process ended early; its errors are above") from error


class _Tally:
    """What the clients of one process have seen; `flying` and `sent` are shared with the caller."""

    def __init__(self, flying: Any, sent: Any, keep: bool = False) -> None:
        self.flying = flying
        self.sent = sent
        self.exchanges: list[Exchange] | None = [] if keep else None
        self.answers: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.reasons: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.connections = 0

    def keep(self, seconds: float, answer: str | None) -> None:
        if self.exchanges is not None:
            ended = time.perf_counter()
            self.exchanges.append(Exchange(ended - seconds, ended, answer))

    def fail(self, shot: Shot, reason: str, seconds: float) -> None:
        self.keep(seconds, None)
        self.reasons[reason] += 1
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(Failure(time.time(), shot.method, shot.path, reason, round(seconds, 6)))


class _Client:
    """One connection at a time."""

    def __init__(self, plan: _Plan, tally: _Tally, stopping: asyncio.Event) -> None:
        parts = urlsplit(plan.url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.plan, self.tally, self.stopping = plan, tally, stopping
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, shots: Sequence[Shot], first: asyncio.Event, after: float) -> None:
        if after:
            await asyncio.sleep(after)
        for shot in itertools.cycle(shots):
            if self.stopping.is_set():
                break
            await self._shoot(shot)
            first.set()
            if self.plan.pause:
                await asyncio.sleep(self.plan.pause * random.uniform(*JITTER))
        self._close()

    async def _shoot(self, shot: Shot) -> None:
        started = time.perf_counter()
        self.tally.sent.value += 1
        self.tally.flying.value += 1
        try:
            async with asyncio.timeout(self.plan.timeout):
                status, headers, body = await self._exchange(shot)
        except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError) as error:
            self._close()
            self.tally.fail(shot, _reason(error), time.perf_counter() - started)
            await asyncio.sleep(0.005)  # a listener that is down must not be hammered
            return
        finally:
            self.tally.flying.value -= 1
        self._judge(shot, status, headers, body, time.perf_counter() - started)
        if headers.get("connection", "").lower() == "close":
            self._close()

    def _judge(self, shot: Shot, status: int, headers: Mapping[str, str], body: bytes, seconds: float) -> None:
        self.tally.statuses[str(status)] += 1
        who = _who(self.plan.answer, headers, body)
        if status >= 500 or who is None:
            self.tally.fail(shot, f"status {status}" if status >= 500 else "nobody's answer", seconds)
            return
        self.tally.answers[who] += 1
        self.tally.seconds.append(seconds)
        self.tally.keep(seconds, who)

    async def _exchange(self, shot: Shot) -> tuple[int, dict[str, str], bytes]:
        if self.streams is None or self.streams[0].at_eof():
            self._close()
            self.streams = await asyncio.open_connection(self.host, self.port)
            self.tally.connections += 1
        reader, writer = self.streams
        writer.write(_head(shot, f"{self.host}:{self.port}") + shot.body)
        await writer.drain()
        return await _response(reader)

    def _close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def _head(shot: Shot, host: str) -> bytes:
    lines = [f"{shot.method} {shot.path} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in shot.headers.items())]
    if shot.body or shot.method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(shot.body)}")
    return "\r\n".join([*lines, "", ""]).encode()


async def _response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, lower-case headers and body of one response. Raises IncompleteReadError where it is cut short."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return int(first.split(" ")[1]), headers, body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(parts)


def _who(answer: str, headers: Mapping[str, str], body: bytes) -> str | None:
    kind, _, name = answer.partition(":")
    if kind == "header":
        return headers.get(name.lower())
    try:
        found = json.loads(body)
        for key in name.split("."):
            found = found[key]
    except (ValueError, KeyError, TypeError):
        return None
    return str(found)


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncio.IncompleteReadError):
        return "closed in the middle of the answer" if error.partial else "closed without an answer"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return type(error).__name__


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max by nearest rank; empty for no values."""
    ordered = sorted(values)
    ranks = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: ordered[max(0, math.ceil(len(ordered) * at) - 1)] for name, at in ranks.items() if ordered}


def _run(plan: _Plan, pipe: Connection, flying: Any, sent: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides when the load ends
    pipe.send(asyncio.run(_drive(plan, pipe, _Tally(flying, sent, plan.keep))))


async def _drive(plan: _Plan, pipe: Connection, tally: _Tally) -> dict[str, Any]:
    stopping = asyncio.Event()
    firsts = [asyncio.Event() for _ in range(plan.clients)]
    started = time.perf_counter()
    tasks = []
    for number, first in enumerate(firsts):
        turn = number % len(plan.shots)
        client = _Client(plan, tally, stopping)
        after = plan.pause * number / plan.clients  # or all would come at the same time, pause, and come again
        tasks.append(asyncio.create_task(client.run([*plan.shots[turn:], *plan.shots[:turn]], first, after)))
    await asyncio.wait([asyncio.create_task(first.wait()) for first in firsts])
    pipe.send("started")
    asyncio.get_running_loop().add_reader(pipe.fileno(), stopping.set)
    await stopping.wait()
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    await asyncio.gather(*tasks)
    return {
        "requests": tally.reasons.total() + tally.answers.total(),
        "failed": tally.reasons.total(),
        "by_answer": dict(tally.answers),
        "failures": tally.failures,
        "latencies": percentiles(tally.seconds),
        "by_status": dict(tally.statuses),
        "reasons": dict(tally.reasons),
        "connections": tally.connections,
        "seconds": time.perf_counter() - started,
        "exchanges": tally.exchanges or [],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep-alive clients that never retry, for some seconds.")
    parser.add_argument("url")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--path", default="/")
    parser.add_argument("--json", dest="body", help="send this JSON by POST, in turn with GET")
    parser.add_argument("--answer", default="header:X-Answer", help="header:NAME or json:FIELD that says who answered")
    arguments = parser.parse_args()
    shots = [Shot(path=arguments.path)]
    if arguments.body is not None:
        shots.append(Shot.post_json(arguments.path, json.loads(arguments.body)))
    with Load(arguments.url, shots, clients=arguments.clients, answer=arguments.answer) as load:
        time.sleep(arguments.seconds)
        result = load.stop()
    print(json.dumps(asdict(result), indent=2))


if __name__ == "__main__":
    main()
