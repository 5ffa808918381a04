"""Rollback of a cluster: where it may go, from the sets that were committed, and the change of the state at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from modelhost.cluster.desired import Committed, Desired
from modelhost.cluster.fit import fitting
from modelhost.cluster.promotion import Parts
from modelhost.cluster.telling import Teller, as_record
from modelhost.errors import (
    Conflict,
    ModelHostError,
    NothingStable,
    RegistryUnavailable,
    Superseded,
)
from modelhost.loading.checks import Integrity
from modelhost.registry.base import Entry, Registry
from modelhost.registry.looking import Looking
from modelhost.serving.asked import COMMITTED, Asked, demand_sense, first_fitting, left_by, stand_ins
from modelhost.serving.destinations import earlier
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.marks import mark_rejected
from modelhost.serving.switching import demand_generation

Check = Callable[[str, str], object]
"""Component and version → nothing of interest; raises Refused where no member could load it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Switch:
    """The set that is committed now, the one before it, and what a person should know. Both are the same where nothing
    had to change."""

    committed: Committed
    before: Committed | None
    notes: tuple[str, ...] = ()


class Returns:
    """Goes back. The members are told first, the registry's status log afterwards; its failure undoes nothing. Where
    there is nothing to go back to, an alert is sent.

    `check`: what a target has to pass before it is committed, of each version that changes; `as_published` by default.
    What has no copy on this machine and is in the memory of a member that is seen to live is not pulled for it: who
    holds it goes back at once.
    """

    def __init__(
        self, registry: Registry, parts: Parts, fallbacks: Collection[str], teller: Teller, check: Check | None = None
    ) -> None:
        self._registry = Looking(registry)
        self._check = check or as_published(registry)
        self._parts = parts
        self._fallbacks = frozenset(fallbacks)
        self._teller = teller

    def go(self, asked: Asked, who: str, reason: str, expected_generation: int | None) -> Switch:
        """See Coordinator.rollback."""
        try:
            return self._go(asked, who, reason, expected_generation)
        except NothingStable:
            raise  # an alert said so
        except ModelHostError as error:
            _log.warning("rollback of %s did not happen (%s): %s", asked.component or "everything", who, error)
            if not isinstance(error, RegistryUnavailable) or isinstance(error, _Uncertain):
                raise
            said = f"nothing was rolled back, and what serves serves on: {error.message}"
            raise RegistryUnavailable(said, error.hint, error.retry_after) from error

    def _go(self, asked: Asked, who: str, reason: str, expected_generation: int | None) -> Switch:
        begun: Committed | None = None
        while True:
            desired = self._parts.log.read()
            current = desired.committed
            if current is None:
                raise Conflict("nothing was ever committed here", "promote a set first")
            if begun is not None and begun != current:
                raise Superseded(
                    f"{current.who} switched to generation {current.generation} meanwhile",
                    "look at what serves before asking again",
                    generation=current.generation,
                    versions=current.versions,
                )
            begun = current
            demand_generation(expected_generation, current.generation, current.versions)
            demand_sense(asked, current.versions)
            try:
                target, notes = self._target(asked, desired, current)
            except NothingStable as error:
                self._teller.alert(_refused(asked, current, who, reason, self._parts.now(), error))
                raise
            left = left_by(asked, current.versions, target)
            returned = desired.go_back(target, left, who, reason, self._parts.now())
            try:
                self._parts.log.write(returned)
            except Conflict:
                continue  # a proposal came or went
            except RegistryUnavailable as error:
                raise _Uncertain(
                    f"whether the rollback was committed is not known: {error.message}",
                    "the report says it when that is back; until then what serves serves on",
                ) from error
            assert returned.committed is not None
            notes += mark_rejected(self._registry, left, who, reason)
            self._teller.switched(returned.committed, current, notes)
            return Switch(returned.committed, current, tuple(notes))

    def _target(self, asked: Asked, desired: Desired, current: Committed) -> tuple[dict[str, str], list[str]]:
        """The set to go back to, and what was passed over on the way."""
        records = [as_record(each) for each in (*desired.previous, current)]

        def fit(target: dict[str, str]) -> dict[str, str]:
            for entry in fitting(self._registry, target).values():
                if current.versions[entry.component] != entry.version and not self._is_held_elsewhere(entry):
                    self._check(entry.component, entry.version)
            return target

        def targets(asked: Asked) -> Iterator[dict[str, str]]:
            return earlier(self._registry, records, asked, current.versions, COMMITTED)

        target, passed_over = first_fitting(asked, targets, fit, current.versions, COMMITTED)
        if target is not None:
            return target, passed_over
        chosen = stand_ins(asked, current.versions, self._fallbacks, passed_over, COMMITTED)
        return {**current.versions, **dict.fromkeys(chosen, FALLBACK_VERSION)}, [*passed_over, "a fallback serves"]

    def _is_held_elsewhere(self, entry: Entry) -> bool:
        component, version = entry.component, entry.version
        if self._registry.is_here(component, version):
            return False
        seen = [each for each in self._parts.members.observe() if each.living and each.confirmed]
        names = [each.beat.name for each in seen if version in each.beat.memory.get(component, ())]
        if names:
            held = f"{', '.join(names)} {'has' if len(names) == 1 else 'have'}"
            _log.info("%s %s has no copy here, and is gone back to as %s it in memory", component, version, held)
        return bool(names)


class _Uncertain(RegistryUnavailable):
    """The place did not answer when it was to be written: that may have happened or not."""


def as_published(registry: Registry) -> Check:
    """Whether the files are those that were published: all that can be said where no member is in this process."""
    integrity = Integrity()
    return lambda component, version: integrity(registry.find(component, version))


def _refused(asked: Asked, current: Committed, who: str, why: str, at: datetime, error: NothingStable) -> Record:
    """A rollback that leaves everything as it was."""
    wanted = {asked.component: asked.to_version} if asked.component and asked.to_version else {}
    before, after = current.versions, {**current.versions, **wanted}
    record = Record(at, Kind.ROLLBACK, Outcome.REFUSED, who, why, current.generation, before, after)
    return replace(record, error=str(error))
