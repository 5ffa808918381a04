"""A service on a real uvicorn on the loopback, whose answers say which version of each component made them."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
import uvicorn
from fastapi import FastAPI, Request, Response

from modelhost.host.host import ModelHost
from modelhost.http import tokens
from modelhost.http.control import Control
from modelhost.http.roles import Role
from modelhost.http.service import ModelHttp
from tests.modelhost.host.service import Service
from tests.modelhost.serving.workshop import PATIENCE

INTERFACE = {
    "inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [-1]},
        {"name": "numbers", "datatype": "FP32", "shape": [-1, 4]},
    ],
    "outputs": [
        {"name": "who", "datatype": "BYTES", "shape": [-1]},
        {"name": "sums", "datatype": "FP32", "shape": [-1]},
    ],
    "shape": "tiny/1",
}
CONFIGURATION = """
registry: {root: models}
components: {model: {}, tokenizer: {}}
sets: {translation: [model, tokenizer]}
memory: {budget: 10MB}
http: {tokens: tokens.jsonl, audit: audit.jsonl}
"""


def reveal(models: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Which versions answer, once for each text; the sum of each row of numbers."""
    made_by = f"{models['model'].model()} with {models['tokenizer'].model()}"
    models.confidence = 0.75
    return {
        "who": [f"{made_by}: {text.decode()}" for text in inputs["text"]],
        "sums": inputs["numbers"].sum(axis=1),
    }


class Site:
    """Publish with `service`, then `start`; `ask` is HTTP."""

    def __init__(self, path: Path) -> None:
        self.service = Service(path)
        self.path = path
        self.tokens: dict[Role, str] = {}
        self.host: ModelHost | None = None
        self.http: ModelHttp | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.session = requests.Session()

    def pair(self, *versions: str, **more: Any) -> None:
        self.service.pair(*versions, interface=INTERFACE, **more)

    def start(
        self,
        configuration: str = CONFIGURATION,
        *,
        control: Callable[[ModelHost], Control | None] = lambda host: None,
        opened: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> ModelHost:
        for role in Role:
            if role not in self.tokens:
                self.tokens[role] = tokens.add(self.path / "tokens.jsonl", f"{role}-of-tests", role)
        self.host = self.service.open(configuration, **(opened or {}))
        settings = {"infer": {"model": reveal}, **settings}
        self.http = ModelHttp(self.host, control=control(self.host), **settings)
        app = FastAPI(lifespan=self.http.lifespan)
        self.http.install(app)
        _add_own_endpoint(app, self.http)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_keep_alive=60))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        return self.host

    def ask(self, method: str, path: str, body: Any = None, role: Role | None = None, **more: Any) -> requests.Response:
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {self.tokens[role]}"} if role else {})
        url = f"http://127.0.0.1:{self.port}{path}"
        return self.session.request(method, url, json=body, headers=headers, timeout=PATIENCE, **more)

    def infer(self, path: str = "/v2/models/model/infer", **more: Any) -> requests.Response:
        inputs = [
            {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]},
            {"name": "numbers", "datatype": "FP32", "shape": [2, 4], "data": [[1, 2, 3, 4], [0, 0, 0, 0.5]]},
        ]
        return self.ask("POST", path, {"inputs": inputs}, **more)

    def audit(self, begun: bool = False) -> list[dict[str, Any]]:
        """The trail; with `begun`, the lines of what had not ended too."""
        lines = [json.loads(line) for line in (self.path / "audit.jsonl").read_text().splitlines()]
        return [line for line in lines if begun or line["result"] != "begun"]

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self.session.close()
            self._thread.join(30)
        self.service.end()


def _add_own_endpoint(app: FastAPI, http: ModelHttp) -> None:
    @app.get("/say/{text}")
    async def say(text: str, request: Request, response: Response) -> dict[str, Any]:
        facts = await http.facts(request, text_length=len(text))
        async with http.host.request(facts) as models:
            response.headers.update(http.headers(models))
            logging.getLogger("tests.site").warning("hears %s", text)
            return {"model": models["model"].model(), "tokenizer": models["tokenizer"].model()}

    @app.post("/v{major}/echo")
    async def echo(asked: dict[str, Any], request: Request, response: Response) -> dict[str, Any]:
        """Written for `tiny/2`, and reached by clients of `tiny/1`."""
        async with http.host.request(await http.facts(request), "model") as models:
            asked = models.adapt_request(asked)
            response.headers.update(http.headers(models))
            said = [f"{models['model'].model()}: {text}" for text in asked["texts"]]
            return models.adapt({"texts": said, "beams": asked["beams"], "sure": 0.9})

    @app.post("/v{major}/written")
    async def written(asked: dict[str, Any], request: Request, response: Response) -> dict[str, Any]:
        """Reads and gives `tiny/2`, whatever model answers."""
        async with http.host.request(await http.facts(request), "model") as models:
            asked = models.adapt_request(asked, "tiny/2")
            response.headers.update(http.headers(models))
            said = [f"{models['model'].model()}: {text}" for text in asked["texts"]]
            return models.adapt({"texts": said, "beams": asked["beams"], "sure": 0.9}, "tiny/2")
