"""Fifty clients that keep their connections, while operators swap and roll back: no failure, no mixed answer."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from modelhost.http.roles import Role
from modelhost.registry.base import Status
from tests.modelhost.http.site import Site

CLIENTS = 50
SWITCHES = 24
VERSIONS = ("1.0.0", "1.1.0")
BODY = json.dumps(
    {
        "inputs": [
            {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["x"]},
            {"name": "numbers", "datatype": "FP32", "shape": [1, 4], "data": [0.0] * 4},
        ]
    }
).encode()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def _post(
    port: int, streams: Streams, path: str, body: bytes, token: str = ""
) -> tuple[int, dict[str, str], bytes]:
    reader, writer = streams
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{bearer}Content-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return await _answer(reader)


async def _client(port: int, done: asyncio.Event, seen: Counter[str]) -> None:
    """Asks on one connection until the end; whatever is no whole answer of one set is an error."""
    streams = await asyncio.open_connection("127.0.0.1", port)
    while not done.is_set():
        status, headers, content = await _post(port, streams, "/v2/models/model/infer", BODY)
        if status != 200:
            seen["failed"] += 1
            continue
        said = json.loads(content)
        version = said["model_version"]
        whole = f"model {version} with tokenizer {version}: x"
        same = (
            headers["x-model-version"] == version and headers["x-model-set"] == f"model={version}, tokenizer={version}"
        )
        seen[version if said["outputs"][0]["data"] == [whole] and same else "mixed"] += 1
    streams[1].close()


async def _operate(site: Site, seen: Counter[str]) -> None:
    """Two swaps and a rollback in turn. What a rollback rejects is marked stable again, as a person may do."""
    streams = await asyncio.open_connection("127.0.0.1", site.port)
    serving = VERSIONS[1]
    for number in range(SWITCHES):
        other = VERSIONS[0] if serving == VERSIONS[1] else VERSIONS[1]
        path, body = "/promote", {"versions": {"model": other, "tokenizer": other}, "reason": "to and fro"}
        if number % 3 == 2:
            path, body = "/rollback", {"reason": "and back"}
        status, _, content = await _post(
            site.port, streams, path, json.dumps(body).encode(), site.tokens[Role.OPERATOR]
        )
        said = json.loads(content)
        seen["switched"] += status == 200 and said["outcome"] == "switched"
        serving = said["versions"]["model"]
        for name, rejected in said["rejected"].items():
            await asyncio.to_thread(site.service.shop.mark, name, rejected, Status.STABLE)
        answered = seen.total()
        while seen.total() < answered + CLIENTS:  # each switch is seen by requests before the next
            await asyncio.sleep(0.005)
    streams[1].close()


@pytest.mark.timeout(300)
def test_no_request_fails_and_no_answer_is_mixed_while_versions_change(site: Site) -> None:
    site.pair(*VERSIONS)
    site.start()
    seen: Counter[str] = Counter()

    async def run() -> None:
        done = asyncio.Event()
        clients = [asyncio.create_task(_client(site.port, done, seen)) for _ in range(CLIENTS)]
        try:
            await _operate(site, seen)
        finally:
            done.set()
        await asyncio.gather(*clients)

    asyncio.run(run())
    assert seen["failed"] == 0, seen
    assert seen["mixed"] == 0, seen
    assert seen["switched"] == SWITCHES, seen
    assert all(seen[version] for version in VERSIONS), seen
