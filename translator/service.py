"""The way from loading to ready, and from a request to its translation: which set of versions, which worker."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from fastapi import Request

from modelhost.errors import InvalidRequest, ModelHostError, Unavailable
from modelhost.host.request import Request as Models
from modelhost.http.service import ModelHttp
from modelhost.registry.base import Entry
from translator.answering import Answer
from translator.bundle import MARIAN, MODEL, name_of
from translator.errors import Refusal, StartError, loading, of_host
from translator.hosting import SET, Hosting, translator_of
from translator.metrics import Metrics
from translator.model import Translated
from translator.network import confidence
from translator.schema import checked_texts
from translator.settings import Limits
from translator.text import Batch
from translator.worker import Worker

LOG = logging.getLogger("uvicorn.error")
LEAVING = 3.0  # seconds that an end waits for a load that has begun
PATIENCE = 20.0  # seconds that a request waits for a version that is not in memory yet


class Service:
    """Versions in memory, and what is asked of them. `on_failure` is called where nothing can be loaded."""

    def __init__(self, hosting: Hosting, on_failure: Callable[[], None]) -> None:
        self.hosting = hosting
        try:
            self.http = ModelHttp(hosting.host, infer={MODEL: self.infer}, membership=hosting.membership, wait=PATIENCE)
        except ModelHostError as error:  # the file of tokens is not there
            raise StartError(str(error)) from error
        self.metrics = Metrics(self.http.metrics.registry)
        self.metrics.waiting.set_function(self._waiting)
        self.status = "loading"
        self._on_failure = on_failure
        self._stopping = False
        self._loader = threading.Thread(target=self._load, name="loader", daemon=True)
        hosting.host.serving.subscribe(lambda event: self._tell())

    def start(self) -> None:
        """Load in a thread of its own: /health answers 503 from the first moment."""
        self._loader.start()

    def _load(self) -> None:
        began = time.monotonic()
        try:
            self.hosting.start()
        except Exception as error:
            if self._stopping:  # what it was loading from, or into, is closed
                return
            LOG.error("%s", error, exc_info=not isinstance(error, StartError))
            self.status = "failed"
            self._on_failure()
            return
        self._tell()
        self.status = "ok"
        self.metrics.ready.set(1)
        LOG.info("%s is ready after %.1f s", self._what(), time.monotonic() - began)

    def _what(self) -> str:
        """What serves, for a person; a member of a cluster serves nothing until it has looked what the others do."""
        loaded = self.hosting.serving()
        if loaded is None:
            return "the member of the cluster"
        return "the fallback" if loaded.fallback else f"model {self.serving()}"

    def stop(self) -> None:
        """Finish what is queued. A load that is under way is given a moment; then it is nobody's failure."""
        self._stopping = True
        if self._loader.is_alive():
            self._loader.join(LEAVING)
        self.http.close()
        self.hosting.close()

    # -- how it is -------------------------------------------------------------------------------------------------

    def health(self) -> str:
        """`ok`, `loading` or `failed`."""
        worker = self._worker()
        if worker is not None and not worker.alive:
            return "failed"
        return "loading" if self.status == "ok" and self.http.control.why_not_ready() else self.status

    def serving(self) -> str:
        """The name of the model that serves (`v1.1.0`); empty before the first, and for the fallback."""
        loaded = self.hosting.serving()
        return "" if loaded is None or loaded.fallback else name_of(loaded.entry)

    def network(self) -> Any:
        """The network that serves; None before the first, and for the fallback."""
        loaded = self.hosting.serving()
        return None if loaded is None or loaded.fallback else loaded.model.network

    def engine(self, entry: Entry) -> str:
        """Who computes a version, or will."""
        section = self.hosting.host.settings.components[MODEL]
        named = section.loader or entry.info.loader
        return self.hosting.settings.engine if named == MARIAN else named

    def _worker(self) -> Worker | None:
        loaded = self.hosting.serving()
        return None if loaded is None or loaded.fallback else loaded.model.worker

    def _waiting(self) -> float:
        worker = self._worker()
        return worker.waiting if worker is not None else 0

    def _tell(self) -> None:
        self.metrics.model.info({"version": self.serving()})

    # -- translating -----------------------------------------------------------------------------------------------

    async def translate(self, request: Request, texts: list[str]) -> Answer:
        """Translate texts with the set that the request is routed to. Raises `Refusal`."""
        if self.status == "loading":
            raise loading()
        try:
            facts = await self.http.facts(request, language="zh", text_length=sum(map(len, texts)))
            facts = replace(facts, version=self.hosting.numbered(facts.version))
            async with self.hosting.host.request(facts, SET, PATIENCE) as models:
                models.input = "\n".join(texts)
                return await self._with(models, texts)
        except ModelHostError as error:
            raise of_host(error.status, str(error)) from error

    async def _with(self, models: Models, texts: list[str]) -> Answer:
        batch, loaded = Batch.of(texts), models[MODEL]
        if loaded.fallback:
            lines = await asyncio.to_thread(loaded.model.translate, batch.sentences())
            return self._answer(models, batch.fill(lines), "", None)
        found = await asyncio.wrap_future(submitted(models, batch))
        sure = self._count(models, found)
        return self._answer(models, batch.fill(found.lines), name_of(loaded.entry), sure)

    def _answer(self, models: Models, lines: list[str], version: str, sure: float | None) -> Answer:
        headers = self.http.headers(models)
        return Answer(lines, version, models.id, models[MODEL].fallback, sure, models.variant, headers)

    def infer(self, models: Models, inputs: Any) -> dict[str, Any]:
        """The Open Inference Protocol: `text`, a list of texts, to `translation`. Raises ModelHostError."""
        texts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in inputs["text"]]
        batch, loaded = Batch.of(checked_here(texts, self.hosting.settings.limits)), models[MODEL]
        if loaded.fallback:
            return {"translation": batch.fill(loaded.model.translate(batch.sentences()))}
        try:
            found = submitted(models, batch).result()
        except Refusal as refusal:
            raise Unavailable(refusal.message) from refusal
        self._count(models, found)
        return {"translation": batch.fill(found.lines)}

    def _count(self, models: Models, found: Translated) -> float | None:
        """Counts what was translated, and says how sure the model is of it, also for the record."""
        self.metrics.tokens.labels("source").inc(found.source_tokens)
        self.metrics.tokens.labels("target").inc(found.target_tokens)
        self.metrics.sentences.inc(len(found.lines))
        sure = confidence(found.scores)
        models.confidence = None if sure is None else round(sure, 4)
        return models.confidence


def submitted(models: Models, batch: Batch) -> Future[Translated]:
    """The sentences in the queue of the model's worker. Raises `Refusal` when it is full."""
    worker: Worker = models[MODEL].model.worker
    return worker.submit(translator_of(models.set), batch.sentences())


def checked_here(texts: list[str], limits: Limits) -> list[str]:
    """`checked_texts` in modelhost's errors."""
    try:
        return checked_texts(texts, limits)
    except Refusal as refusal:
        raise InvalidRequest(refusal.message) from refusal
