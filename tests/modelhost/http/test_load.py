"""Fifty clients that keep their connections, while operators swap and roll back two hundred times: no request fails, no
answer is mixed, and never is there more in memory than both models together."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelhost.host.host import ModelHost
from modelhost.http.roles import Role
from modelhost.loading.memory import CPU
from modelhost.loading.safetensors import SafetensorsLoader
from modelhost.registry.base import Status
from tests.modelhost.http.crowd import Crowd, post
from tests.modelhost.http.site import Site
from tests.modelhost.loading.published import put
from tests.modelhost.serving.workshop import eventually

torch = pytest.importorskip("torch", reason="the stock loader is for services that have torch")

CLIENTS = 50
SWITCHES = 200
NUMBERS = 4 << 20  # float32: 16 MiB in a component, 32 MiB in a set
SET_BYTES = 2 * 4 * NUMBERS
SLACK_BYTES = 3 * SET_BYTES  # what an allocator may keep; 200 switches that leaked would leave 4 GB
VALUES = {"1.0.0": 1.0, "1.1.0": 2.0, "1.2.0": 3.0}
TEXT = {"name": "who", "datatype": "BYTES", "shape": [-1]}
INTERFACE = {"inputs": [TEXT], "outputs": [TEXT], "shape": "tiny/1"}
ASKED = {"inputs": [{"name": "who", "datatype": "BYTES", "shape": [1], "data": ["?"]}]}
CONFIGURATION = f"""
registry: {{root: models}}
components: {{encoder: {{}}, decoder: {{}}}}
sets: {{translation: [encoder, decoder]}}
memory: {{budget: {2 * SET_BYTES + 1024}}}
http: {{tokens: tokens.jsonl, audit: audit.jsonl}}
"""


class Big(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Its weights are one value throughout, which it tells from both ends and the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(NUMBERS))

    def forward(self) -> Any:
        return self.weight[[0, NUMBERS // 2, NUMBERS - 1]]


def _published(path: Path) -> None:
    """Each decoder works with the encoder of its own number alone."""
    for version, value in VALUES.items():
        mates: dict[str, str] = {}
        for component in ("encoder", "decoder"):
            source = path / "sources" / component / version
            tensors = {"weight": torch.full((NUMBERS,), value)}
            entry = put(path / "models", source, version, tensors, component, interface=INTERFACE, mates=mates)
            mates = {component: entry.info.digest}


def _reveal(models: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values that the weights of this request's set have, and not what they are called."""
    told = {name: set(models[name].model().tolist()) for name in ("encoder", "decoder")}
    return {"who": [json.dumps({name: sorted(values) for name, values in told.items()})]}


def _judge(headers: dict[str, str], said: dict[str, Any]) -> str:
    version = said["model_version"]
    told = json.loads(said["outputs"][0]["data"][0])
    whole = told == {"encoder": [VALUES[version]], "decoder": [VALUES[version]]}
    named = headers["x-model-version"] == version
    named &= headers["x-model-set"] == f"decoder={version}, encoder={version}"
    return version if whole and named else "mixed"


async def _operate(site: Site, crowd: Crowd, after_each: Callable[[], None]) -> None:
    """Two swaps and a rollback in turn. What a rollback rejects is marked stable again, as a person may do."""
    streams = await asyncio.open_connection("127.0.0.1", site.port)
    versions, serving = list(VALUES), "1.2.0"
    for number in range(SWITCHES):
        other = versions[(versions.index(serving) + 1) % len(versions)]
        path, body = "/promote", {"versions": {"encoder": other, "decoder": other}, "reason": "to and fro"}
        if number % 3 == 2:
            path, body = "/rollback", {"reason": "and back"}
        token = site.tokens[Role.OPERATOR]
        status, _, content = await post(site.port, streams, path, json.dumps(body).encode(), token)
        said = json.loads(content)
        assert (status, said.get("outcome")) == (200, "switched"), said
        assert said["versions"]["encoder"] != serving
        serving = said["versions"]["encoder"]
        for name, rejected in said["rejected"].items():
            await asyncio.to_thread(site.service.shop.mark, name, rejected, Status.STABLE)
        await crowd.more(crowd.clients)  # each switch is seen by requests before the next
        after_each()
    streams[1].close()


def _uss() -> int:
    """Memory that would come back if this process ended, in bytes: mapped weights too, as nobody else has them."""
    return int(psutil.Process().memory_full_info().uss)


class Peaks:
    """The most that the books and the kernel say, looked at all the time while `watching`."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host
        self.books = self.process = 0

    def look(self) -> None:
        self.books = max(self.books, self._host.pool.budget.used(CPU))
        self.process = max(self.process, _uss())

    @contextmanager
    def watching(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.1):
                self.look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


@pytest.mark.timeout(600)
def test_two_hundred_switches_fail_no_request_mix_no_answer_and_leave_no_memory_behind(site: Site) -> None:
    _published(site.path)
    loader = SafetensorsLoader(lambda entry: Big(), warm_up=lambda model: model.module.weight.sum())  # every page
    host = site.start(CONFIGURATION, opened={"loaders": {"safetensors": loader}}, infer={"encoder": _reveal})
    books, body = host.pool.budget.used(CPU), json.dumps(ASKED).encode()

    async def run() -> tuple[Crowd, int, Peaks]:
        async with Crowd(site.port, "/v2/models/encoder/infer", body, _judge, CLIENTS) as crowd:
            await crowd.more(10 * CLIENTS)
            at_rest, peaks = _uss(), Peaks(host)
            with peaks.watching():
                await _operate(site, crowd, peaks.look)
        return crowd, at_rest, peaks

    crowd, at_rest, peaks = asyncio.run(run())
    assert crowd.seen["failed"] == 0, crowd.seen
    assert crowd.seen["mixed"] == 0, crowd.seen
    assert set(crowd.seen) - {"failed", "mixed"} == set(VALUES), crowd.seen

    assert books == SET_BYTES
    assert 2 * SET_BYTES <= peaks.books <= host.pool.budget.limit(CPU)
    assert at_rest < peaks.process < at_rest + SET_BYTES + SLACK_BYTES
    serving = set(host.serving.live.current().versions.items())
    for component, version in {(each.component, each.version) for each in host.pool.residents()} - serving:
        host.unload(component, version)
    eventually(lambda: host.pool.budget.used(CPU) == books and not host.serving.live.leaving())
    gc.collect()
    assert _uss() < at_rest + SLACK_BYTES
