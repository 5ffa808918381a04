"""The service on modelhost, as a process of its own: `python -m benchmarks.modelhost.hosted FOLDER PORT`.

The folder holds `modelhost.yaml` and what it names. `GET /ask` answers what reveals the set that made it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from benchmarks.modelhost import memory, network
from benchmarks.modelhost.evidence import told
from benchmarks.modelhost.published import LARGE, PAIR, value_of
from benchmarks.modelhost.serve import serve
from modelhost.host.host import ModelHost
from modelhost.host.request import Request as Models
from modelhost.http.service import ModelHttp
from modelhost.loading.safetensors import SafetensorsLoader
from modelhost.registry.base import Entry


class Loader(SafetensorsLoader):
    """Warms up with a forward pass through all of it: the next one is as fast as any."""

    def __init__(self) -> None:
        super().__init__(lambda entry: network.build(entry.info.settings))

    def warm_up(self, loaded: Any) -> None:
        """Brings the pages in as any service's loader does, and then as a request would, through all of it."""
        super().warm_up(loaded)
        network.use(loaded.model, loaded.entry.info.settings)


def answer(models: Models) -> str:
    """What the set of this request holds; of the large model, which has random weights, the name alone."""
    if LARGE in models.set:
        import torch

        from benchmarks.modelhost.published import WIDTH

        models[LARGE].model(torch.ones(WIDTH), 1)
        found = {value_of(models.version)}
        return told(found, found, value_of(models.version))
    encoder, decoder = (_values(models[name].entry, models[name].model) for name in PAIR)
    return told(encoder, decoder, value_of(models.version))


def _values(entry: Entry, model: Any) -> set[float]:
    return network.values(model, entry.info.settings["width"])


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    before = memory.uss()
    host = ModelHost.open(folder / "modelhost.yaml", {"safetensors": Loader()})
    http = ModelHttp(host)
    app = FastAPI(lifespan=http.lifespan)
    http.install(app)

    @app.get("/ask")
    async def ask(request: Request, response: Response) -> dict[str, Any]:
        async with host.request(await http.facts(request)) as models:
            response.headers.update(http.headers(models))
            return {"told": await asyncio.to_thread(answer, models)}

    @app.get("/before")
    async def without_a_model() -> dict[str, int]:
        return {"bytes": before}

    serve(app, port)


if __name__ == "__main__":
    main()
