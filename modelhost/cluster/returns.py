"""Rollback of a cluster: where it may go, from the sets that were committed, and the change of the state at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelhost.cluster.desired import Committed, Desired
from modelhost.cluster.fit import fitting
from modelhost.cluster.promotion import Parts
from modelhost.cluster.telling import Teller, as_record
from modelhost.errors import (
    Conflict,
    MateMismatch,
    ModelHostError,
    NothingStable,
    Refused,
    RegistryUnavailable,
    Superseded,
    Unknown,
)
from modelhost.loading.checks import Integrity
from modelhost.registry.base import Registry
from modelhost.serving.destinations import Asked, demand_sense, demand_way_back, is_usable, reject
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.switching import demand_generation
from modelhost.serving.targets import earlier_sets, earlier_versions, left_for_good

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
    """

    def __init__(
        self, registry: Registry, parts: Parts, fallbacks: Collection[str], teller: Teller, check: Check | None = None
    ) -> None:
        self._registry = registry
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
            left = _left(asked, current, target)
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
            notes += reject(self._registry, left, who, reason)
            self._teller.switched(returned.committed, current, notes)
            return Switch(returned.committed, current, tuple(notes))

    # -- where to --------------------------------------------------------------------------------------------------

    def _target(self, asked: Asked, desired: Desired, current: Committed) -> tuple[dict[str, str], list[str]]:
        """The set to go back to, and what was passed over on the way."""
        passed_over: list[str] = []
        for target in self._targets(asked, desired, current):
            try:
                for entry in fitting(self._registry, target).values():
                    if current.versions[entry.component] != entry.version:
                        self._check(entry.component, entry.version)
            except MateMismatch as error:
                if asked.component is not None and not asked.together:
                    raise MateMismatch(error.message, "with together=True its mates go back with it") from error
                if asked.named and asked.component is None:
                    raise
                passed_over.append(error.message)
            except (Refused, Unknown) as error:
                if asked.named:
                    raise
                passed_over.append(error.message)
            else:
                return target, passed_over
        if asked.named:
            raise NothingStable(
                f"no set that was committed fits {asked.component} {asked.to_version}", "; ".join(passed_over)
            )
        return self._stand_ins(asked, current, passed_over), [*passed_over, "a fallback serves"]

    def _targets(self, asked: Asked, desired: Desired, current: Committed) -> Iterator[dict[str, str]]:
        """Whole sets to try, the best first."""
        serves, component = current.versions, asked.component
        if asked.to_generation is not None:
            yield _of_generation(asked.to_generation, desired, current)
            return
        records = [as_record(each) for each in (*desired.previous, current)]
        left = left_for_good(records)

        def usable(name: str, version: str) -> bool:
            return is_usable(self._registry, name, version, left.get((name, version)))

        if component is None:
            yield from earlier_sets(records, serves, usable)
            return
        named = None
        if asked.to_version is not None:
            entry = self._registry.find(component, asked.to_version)
            named = entry.version
            if named == serves[component]:
                raise Conflict(f"{component} {named} is wanted already", "name another, or none")
            demand_way_back(self._registry, records, entry, serves[component])
        for version in [named] if named else earlier_versions(records, component, serves[component], usable):
            yield {**serves, component: version}
            if asked.together:
                sets = earlier_sets(records, serves, usable, component)
                yield from (each for each in sets if each[component] == version)

    def _stand_ins(self, asked: Asked, current: Committed, passed_over: list[str]) -> dict[str, str]:
        names = [asked.component] if asked.component is not None else list(current.versions)
        chosen = [name for name in names if name in self._fallbacks and current.versions[name] != FALLBACK_VERSION]
        if not chosen:
            raise NothingStable(
                f"no set that was committed before is left and stable for {asked.component or 'the whole set'}, and no "
                "other fallback is declared",
                "; ".join(passed_over) or "publish and promote a version, or restore one that was left by mistake",
            )
        return {**current.versions, **dict.fromkeys(chosen, FALLBACK_VERSION)}


class _Uncertain(RegistryUnavailable):
    """The place did not answer when it was to be written: that may have happened or not."""


def as_published(registry: Registry) -> Check:
    """Whether the files are those that were published: all that can be said where no member is in this process."""
    integrity = Integrity()
    return lambda component, version: integrity(registry.find(component, version))


def _left(asked: Asked, current: Committed, target: Mapping[str, str]) -> dict[str, str]:
    """What is left for good: component → version."""
    return {
        name: version
        for name, version in current.versions.items()
        if target[name] != version and version != FALLBACK_VERSION and asked.component in (None, name)
    }


def _of_generation(generation: int, desired: Desired, current: Committed) -> dict[str, str]:
    known = {each.generation: each for each in (*desired.previous, current)}
    if generation not in known:
        raise Unknown(
            f"no set of generation {generation} was committed", f"these were: {', '.join(map(str, sorted(known)))}"
        )
    target = {name: known[generation].versions.get(name, version) for name, version in current.versions.items()}
    if target == current.versions:
        raise Conflict(f"the set of generation {generation} is wanted already", "name another, or none")
    return target


def _refused(asked: Asked, current: Committed, who: str, why: str, at: datetime, error: NothingStable) -> Record:
    """A rollback that leaves everything as it was."""
    wanted = {asked.component: asked.to_version} if asked.component and asked.to_version else {}
    before, after = current.versions, {**current.versions, **wanted}
    record = Record(at, Kind.ROLLBACK, Outcome.REFUSED, who, why, current.generation, before, after)
    return replace(record, error=str(error))
