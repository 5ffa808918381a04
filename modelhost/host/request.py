"""One request: the set of versions that it keeps to its end, what decided them, and what is told of it afterwards."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, Protocol

from modelhost.errors import ModelHostError
from modelhost.host.grants import Grant
from modelhost.host.watch import Answered
from modelhost.loading.base import Loaded
from modelhost.routing import logs
from modelhost.routing.choice import Choice, Why
from modelhost.routing.request import RequestFacts
from modelhost.serving.sets import ServingSet


class Grants(Protocol):
    """Who hands out leases, and hears how requests ended."""

    def grant(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant: ...
    async def grant_async(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant: ...
    def ended(self, request: Request, answered: Answered) -> None: ...


class Request:
    """`with` or `async with` host.request(…) as models: `models["model"].model(…)`.

    `id` names the request in records; `input` and `confidence` may be set for the record, which has no hash and no
    preview of a request without an `input`. Everything else may be read inside the block and after it.
    """

    def __init__(
        self,
        grants: Grants,
        facts: RequestFacts,
        about: str | None,
        wait: float | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.facts = facts
        self.id = facts.id or uuid.uuid4().hex
        self.input: str | None = None
        self.confidence: float | None = None
        self._grants, self._about, self._wait, self._clock = grants, about, wait, clock
        self._granted: Grant | None = None
        self._set: ServingSet | None = None
        self._used: dict[str, str] = {}
        self._began = 0.0
        self._logs: AbstractContextManager[logs.Served] | None = None

    # -- what serves -----------------------------------------------------------------------------------------------

    def __getitem__(self, component: str) -> Loaded:
        """What serves for a component. Raises KeyError for one that does not."""
        loaded = self.set[component]
        self._used[component] = loaded.version
        return loaded

    @property
    def set(self) -> ServingSet:
        """The whole set. Raises ModelHostError before the block."""
        if self._set is None:
            raise ModelHostError("a request was used before it began", "use it in a `with` block")
        return self._set

    @property
    def versions(self) -> Mapping[str, str]:
        """Component → version."""
        return self.set.versions

    @property
    def generation(self) -> int:
        """The number of the live set that this request began with."""
        return self.set.generation

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Components for which a stand-in from installed code answers: the answer must say so."""
        return self.set.fallbacks

    # -- what decided ----------------------------------------------------------------------------------------------

    @property
    def choice(self) -> Choice | None:
        """What routing decided; None where the service has nothing to decide on."""
        return self._granted.choice if self._granted else None

    @property
    def variant(self) -> str:
        """The label of an experiment's variant (`AB:treatment`), or nothing."""
        return self.choice.variant if self.choice else ""

    @property
    def reason(self) -> str:
        """Why this version answers: `rule short-for-admins`, `weight AB:treatment`, `default`."""
        return self.choice.reason if self.choice else Why.DEFAULT.value

    @property
    def component(self) -> str:
        """The component whose version names the answer: the one that was asked about, or the first of the set."""
        return self.choice.component if self.choice else next(iter(self.set), "")

    @property
    def version(self) -> str:
        """The version that answers."""
        return self.versions.get(self.component, "")

    @property
    def shape(self) -> str:
        """The shape that the version which answers declares."""
        return self.set[self.component].entry.info.interface.shape

    def adapt(self, answer: dict[str, Any], shape: str | None = None) -> dict[str, Any]:
        """The answer in the shape that the caller's API speaks. `shape`: that of `answer`, for an endpoint which gives
        the same one whatever version it asks; without it, that of the version which answers.

        Raises ConfigError where no adapter leads there, ModelHostError where one fails.
        """
        if self.choice is None or self._granted is None:
            return answer
        return self._granted.adapters.adapt(answer, shape or self.shape, self.choice.shape)

    def adapt_request(self, asked: dict[str, Any], shape: str | None = None) -> dict[str, Any]:
        """What a caller asked, in the shape of its API, brought into `shape`, that which the endpoint reads; without it
        into that of the version which answers.

        Raises ConfigError where no adapter leads there, InvalidRequest where one cannot read it.
        """
        if self.choice is None or self._granted is None:
            return asked
        return self._granted.adapters.adapt_request(asked, self.choice.shape, shape or self.shape)

    # -- beginning and end -----------------------------------------------------------------------------------------

    def __enter__(self) -> Request:
        self._began = self._clock()
        return self._begin(self._grants.grant(self.facts, self._about, self._wait))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        granted, marked = self._granted, self._logs
        if granted is None:
            return
        granted.lease.release()
        if marked is not None:
            with suppress(ValueError):  # begun in another context, as a generator's cleanup may be
                marked.__exit__(None, None, None)
        seconds, failed = self._clock() - self._began, error is not None
        fallback = self.component in self.fallbacks
        self._grants.ended(
            self, Answered(self.component, self.version, self.variant, seconds, failed, fallback, self._used)
        )

    async def __aenter__(self) -> Request:
        self._began = self._clock()
        return self._begin(await self._grants.grant_async(self.facts, self._about, self._wait))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def _begin(self, granted: Grant) -> Request:
        self._granted, self._set = granted, granted.lease.set
        self._logs = logs.serving(self.version, self.variant)
        self._logs.__enter__()
        return self
