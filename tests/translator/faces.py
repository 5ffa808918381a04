"""An application with the real error answers and a face of the translator, on a port of its own, and a stand-in model.

The model is the one part that is not real: it answers at once and reveals what it was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.support.ports import free_port
from translator.answering import Answer
from translator.errors import Refusal


@dataclass
class Model:
    """Answers `<text>` for a text, and keeps the batches that it was asked for."""

    batches: list[list[str]] = field(default_factory=list)
    refuse: Refusal | None = None
    fallback: bool = False

    async def translate(self, request: Request, texts: list[str]) -> Answer:
        """As `answering.Answering`."""
        if self.refuse is not None:
            raise self.refuse
        self.batches.append(texts)
        version = request.query_params.get("version", "" if self.fallback else "v1.1.0")
        return Answer([f"<{text}>" for text in texts], version, f"r{len(self.batches)}", self.fallback)


@contextmanager
def serving(build: Callable[[FastAPI], None]) -> Iterator[str]:
    """The URL of an application that `build` has put its routes into."""
    app = FastAPI()

    @app.exception_handler(Refusal)
    async def refused(_: Request, error: Refusal) -> JSONResponse:
        return JSONResponse(error.body(), error.status)

    build(app)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            thread.join(0.01)
        assert server.started
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
