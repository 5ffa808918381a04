"""From the facts of a request to a lease: routing decides, memory gives. A candidate that fails costs nobody an answer.

A version that a caller names must be there; one that a rule or an experiment chose gives way to what serves while it
loads or where it cannot, and is left alone for a while after a failure.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from modelhost.errors import InvalidRequest, MateMismatch, ModelHostError, Unavailable, Unknown
from modelhost.host.shelf import Shelf
from modelhost.host.wiring import Subject, Wiring
from modelhost.routing.adapters import Adapters
from modelhost.routing.choice import Choice, Why
from modelhost.routing.request import RequestFacts
from modelhost.routing.router import Router
from modelhost.serving.serving import Serving
from modelhost.serving.sets import ServingSet, SetLease

PAUSE_SECONDS = 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Grant:
    """A lease with what decided it."""

    lease: SetLease
    choice: Choice | None
    adapters: Adapters


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one request should see, before it is known whether it can be had."""

    wiring: Wiring
    subject: Subject
    choice: Choice
    overrides: Mapping[str, str]

    @property
    def optional(self) -> bool:
        """Whether what serves will do as well: nobody asked for this version by name."""
        return self.choice.why in (Why.RULE, Why.WEIGHT)


class Granter:
    """Hands out leases. The way without routing costs a few microseconds and never waits."""

    def __init__(
        self,
        serving: Serving,
        shelf: Shelf,
        wiring: Callable[[], Wiring],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._serving = serving
        self._shelf = shelf
        self._wiring = wiring
        self._clock = clock
        self._paused: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def grant(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant:
        """A lease on what these facts lead to. Raises Unknown, InvalidRequest, Unavailable, and what a load raises."""
        base, plan = self._begin(facts, about)
        if plan is None or not plan.overrides:
            return self._plain(base, plan)
        try:
            lease = self._serving.variants.lease(plan.overrides, self._patience(plan, wait), base)
        except ModelHostError as error:
            return self._instead(base, plan, facts, error)
        except BaseException:
            base.release()
            raise
        return Grant(lease, plan.choice, plan.wiring.adapters)

    async def grant_async(self, facts: RequestFacts, about: str | None, wait: float | None) -> Grant:
        """`grant` for an event loop, which it never blocks."""
        base, plan = self._begin(facts, about)
        if plan is None or not plan.overrides:
            return self._plain(base, plan)
        try:
            lease = await self._serving.variants.lease_async(plan.overrides, self._patience(plan, wait), base)
        except ModelHostError as error:
            return self._instead(base, plan, facts, error)
        except BaseException:
            base.release()
            raise
        return Grant(lease, plan.choice, plan.wiring.adapters)

    def _begin(self, facts: RequestFacts, about: str | None) -> tuple[SetLease, _Plan | None]:
        """The live set, and what should differ from it for this request: decided on one and the same set."""
        wiring = self._wiring()
        subject = wiring.subject(about)
        if subject is None and facts.version is not None:
            raise InvalidRequest("a version was named, and not of what", "say which component or set it is about")
        base = self._serving.lease()
        try:
            return base, None if subject is None else self._plan(wiring, subject, facts, base.set)
        except BaseException:
            base.release()
            raise

    def _plan(self, wiring: Wiring, subject: Subject, facts: RequestFacts, live: ServingSet) -> _Plan:
        router = wiring.routers[subject.name]
        choice = _at_once(router, subject, facts, live)
        if choice is None:
            choice = self._choose(router, subject, facts, live)
        plan = _Plan(wiring, subject, choice, self._shelf.overrides(subject, choice.version, live))
        if plan.overrides and plan.optional and self._is_paused(plan):
            choice = self._choose(_undecided(router), subject, facts, live)
            note = f"{plan.choice.reason}: version {plan.choice.version} failed a moment ago"
            choice = replace(choice, passed_over=(*choice.passed_over, note))
            return _Plan(wiring, subject, choice, self._shelf.overrides(subject, choice.version, live))
        return plan

    def _choose(self, router: Router, subject: Subject, facts: RequestFacts, live: ServingSet) -> Choice:
        return router.choose(facts, self._shelf.offers(subject.lead, live))

    def _plain(self, base: SetLease, plan: _Plan | None) -> Grant:
        return Grant(base, plan.choice if plan else None, (plan.wiring if plan else self._wiring()).adapters)

    def _instead(self, base: SetLease, plan: _Plan, facts: RequestFacts, error: ModelHostError) -> Grant:
        """What serves, where the version was nobody's wish. Raises the error otherwise, and frees the base."""
        try:
            if not plan.optional:
                raise error
            if not isinstance(error, Unavailable):
                self._pause(plan, error)
            router = _undecided(plan.wiring.routers[plan.subject.name])
            choice = self._choose(router, plan.subject, facts, base.set)
            if self._shelf.overrides(plan.subject, choice.version, base.set):
                raise error  # what serves does not answer in the shape of this API
        except BaseException:
            base.release()
            raise
        note = f"{plan.choice.reason}: {error.message}"
        return Grant(base, replace(choice, passed_over=(*choice.passed_over, note)), plan.wiring.adapters)

    def _patience(self, plan: _Plan, wait: float | None) -> float | None:
        return 0.0 if plan.optional else wait

    def _is_paused(self, plan: _Plan) -> bool:
        with self._lock:
            return self._paused.get((plan.subject.lead, plan.choice.version), 0.0) > self._clock()

    def _pause(self, plan: _Plan, error: ModelHostError) -> None:
        with self._lock:
            self._paused[plan.subject.lead, plan.choice.version] = self._clock() + PAUSE_SECONDS
        if not isinstance(error, MateMismatch | Unknown):
            _log.warning("%s is passed over for %d s: %s", plan.choice.reason, PAUSE_SECONDS, error)


def _at_once(router: Router, subject: Subject, facts: RequestFacts, live: ServingSet) -> Choice | None:
    """The choice where nothing is to be decided; None where something is."""
    if facts.version is not None or router.rules or router.experiment is not None:
        return None
    if facts.api is not None and router.api:
        return None
    serving = live.get(subject.lead)
    if serving is None:
        return None
    return Choice(subject.lead, serving.version, serving.entry.info.interface.shape, Why.DEFAULT)


def _undecided(router: Router) -> Router:
    return replace(router, rules=(), experiment=None)
