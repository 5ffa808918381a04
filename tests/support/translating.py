"""A small service on modelhost behind a real uvicorn; its models are dictionaries of sentences, good and bad ones."""

from __future__ import annotations

import json
import socket
import threading
import time
from itertools import product
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from modelhost.host.host import ModelHost
from modelhost.http import tokens
from modelhost.http.roles import Role
from modelhost.http.service import ModelHttp
from modelhost.loading.base import Loaded, Placement
from modelhost.metadata import Interface
from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish
from modelhost.serving.fallback import fallback
from tests.support.versions import metadata

_ALONE = 'components: {translator: {environment: "off"}}'
_PAIR = """components: {translator: {environment: "off"}, vocabulary: {environment: "off"}}
sets: {translation: [translator, vocabulary]}"""
_CONFIGURATION = """
registry: {root: registry}
memory: {budget: 10MB}
http: {tokens: tokens.jsonl, audit: audit.jsonl}
"""
_WORDS = product(("old", "green", "quiet"), ("house", "bridge", "tower"), ("north", "valley", "city"))
CASES = [
    (f"source {number}", f"the {adjective} {noun} number {number} stands in the {place} near the river")
    for number, (adjective, noun, place) in enumerate(_WORDS)
]


def dictionary(wrong: int) -> dict[str, str]:
    """The translations of a model that gets `wrong` of CASES wrong, altogether."""
    return {source: "zzz qqq xxx" if number < wrong else reference for number, (source, reference) in enumerate(CASES)}


class DictionaryLoader:
    def estimate(self, entry: Entry, placement: Placement) -> int:
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        return Loaded(entry, json.loads((entry.path / "dictionary.json").read_text()), entry.info.bytes, placement)

    def warm_up(self, loaded: Loaded) -> None:
        assert loaded.model


class Translating:
    """`publish` versions into `registry`, then `start`. `anonymous`: answers do not say which version made them.

    `paired`: it has a vocabulary beside the translator, which flips with it; `publish_pair` publishes both.
    """

    def __init__(self, path: Path, paired: bool = False) -> None:
        path.mkdir()
        self.path = path
        self._components = _PAIR if paired else _ALONE
        self.registry = path / "registry"
        self.anonymous = False
        self.held = threading.Event()  # answers wait for it
        self.held.set()
        self.asked = threading.Event()  # somebody wants an answer
        self.tokens = {role: tokens.add(path / "tokens.jsonl", f"{role}-of-tests", role) for role in Role}
        self.host: ModelHost | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def operator(self) -> str:
        return self.tokens[Role.OPERATOR]

    @property
    def serving(self) -> str:
        assert self.host is not None
        return self.host.serving.current().versions["translator"]

    @property
    def versions(self) -> dict[str, str]:
        """Component → what serves."""
        assert self.host is not None
        return dict(self.host.serving.current().versions)

    def publish(self, version: str, wrong: int = 0, stable: bool = False) -> None:
        self._put("translator", version, dictionary(wrong), stable)

    def publish_pair(self, version: str, wrong: int = 0, lost: str = "", stable: bool = False) -> None:
        """A vocabulary, in which one word is `lost`, and a translator that works with it alone."""
        digest = self._put("vocabulary", version, {"version": version, lost: "zzz"}, stable)
        self._put("translator", version, dictionary(wrong), stable, vocabulary=digest)

    def _put(self, component: str, version: str, words: dict[str, str], stable: bool, **mates: str) -> str:
        source = self.path / "sources" / f"{component}-{version}"
        source.mkdir(parents=True)
        (source / "dictionary.json").write_text(json.dumps(words))
        said = metadata(component, version, loader="dictionary", mates=mates)
        done = publish(self.registry, source, said, who="anna")
        if stable:
            DirectoryRegistry(self.registry).mark(component, version, Status.STABLE, "anna", "for a test")
        return done.entry.info.digest

    def start(self, prefix: str = "", wrong_without_any: int | None = None) -> None:
        """`wrong_without_any`: a fallback that gets so many wrong answers when no version is left."""
        (self.path / "modelhost.yaml").write_text(_CONFIGURATION + self._components)
        fallbacks = []
        if wrong_without_any is not None:
            interface = Interface.model_validate(metadata()["interface"])
            fallbacks = [
                fallback("translator", dictionary(wrong_without_any), Path(__file__), interface, "words alone")
            ]
        self.host = ModelHost.open(
            self.path / "modelhost.yaml",
            {"dictionary": DictionaryLoader()},
            fallbacks=fallbacks,
            hangup=False,
            upkeep_seconds=0.05,
        )
        http = ModelHttp(self.host)
        app = FastAPI(lifespan=http.lifespan)
        http.install(app, prefix)

        @app.post("/translate")
        async def translate(request: Request, response: Response) -> dict[str, Any]:
            text = (await request.json())["text"]
            self.asked.set()
            await run_in_threadpool(self.held.wait, 60)
            async with http.host.request(await http.facts(request)) as models:
                if not self.anonymous:
                    response.headers.update(http.headers(models))
                words = models["vocabulary"].model if "vocabulary" in models.set else {}
                found = models["translator"].model.get(text, "").split()
                return {"translation": " ".join(words.get(word, word) for word in found)}

        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(60)
        elif self.host is not None:
            self.host.close(5.0)
