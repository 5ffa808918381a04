"""The application of `translating` as uvicorn starts it in processes of its own; `workers` starts those.

Its answers name their process. A file `unable` beside the configuration names processes that load nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from modelhost.http.service import ModelHttp
from modelhost.loading.base import Loaded, Placement
from modelhost.registry.base import Entry
from tests.support.translating import DictionaryLoader

FOLDER = "TRANSLATING"  # where its configuration is
PROCESS = "X-Process"


class _Loader(DictionaryLoader):
    def __init__(self, told: Path) -> None:
        self._told = told

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        if self._told.exists() and str(os.getpid()) in self._told.read_text().split():
            raise MemoryError("no device is free")
        return super().load(entry, placement)


def made() -> FastAPI:
    """For `uvicorn --factory`."""
    folder = Path(os.environ[FOLDER])
    http = ModelHttp.open(folder / "modelhost.yaml", {"dictionary": _Loader(folder / "unable")}, workers=2)
    app = FastAPI(lifespan=http.lifespan)
    http.install(app)

    @app.middleware("http")
    async def name(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await answer(request)
        response.headers[PROCESS] = str(os.getpid())
        return response

    @app.post("/translate")
    async def translate(request: Request, response: Response) -> dict[str, Any]:
        text = (await request.json())["text"]
        async with http.host.request(await http.facts(request)) as models:
            response.headers.update(http.headers(models))
            return {"translation": models["translator"].model.get(text, "")}

    return app
