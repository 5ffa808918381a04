"""Rollback of a cluster: where it may go, from the sets that were committed, and the change of the state at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modelhost.cluster.desired import Committed, Desired
from modelhost.cluster.promotion import Parts
from modelhost.errors import Conflict, InvalidRequest, MateMismatch, ModelHostError, NothingStable, Refused, Unknown
from modelhost.registry.base import Registry, Status
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.switching import check_fit
from modelhost.serving.targets import earlier_sets, earlier_versions, left_for_good

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What to go back from and to. `component` None: the whole set."""

    component: str | None
    to_version: str | None
    to_generation: int | None


@dataclass(frozen=True, slots=True)
class Return:
    """The set that is committed now, and what a person should know."""

    committed: Committed
    notes: tuple[str, ...] = ()


class Returns:
    """Goes back. The members are told first, the registry's status log afterwards; its failure undoes nothing."""

    def __init__(self, registry: Registry, parts: Parts) -> None:
        self._registry = registry
        self._parts = parts

    def go(self, asked: Asked, who: str, reason: str) -> Return:
        """See Coordinator.rollback."""
        log, begun = self._parts.log, None
        while True:
            desired = log.read()
            if desired.committed is None:
                raise Conflict("nothing was ever committed here", "promote a set first")
            if begun is not None and begun != desired.committed:
                raise Conflict(
                    f"{desired.committed.who} switched to generation {desired.committed.generation} meanwhile",
                    "look at what serves before asking again",
                )
            begun = desired.committed
            target = self._target(asked, desired, begun)
            left = {
                name: version
                for name, version in begun.versions.items()
                if target[name] != version and asked.component in (None, name)
            }
            returned = desired.go_back(target, left, who, reason, self._parts.now())
            try:
                log.write(returned)
            except Conflict:
                continue  # a proposal came or went
            assert returned.committed is not None
            problems = [self._reject(name, version, who, reason) for name, version in left.items()]
            return Return(returned.committed, tuple(problem for problem in problems if problem))

    def _target(self, asked: Asked, desired: Desired, current: Committed) -> dict[str, str]:
        _demand_sense(asked, current)
        records = [_record(each) for each in (*desired.previous, current)]
        if asked.to_generation is not None:
            return self._of_generation(asked.to_generation, desired, current)
        if asked.component is not None and asked.to_version is not None:
            return self._named(asked.component, asked.to_version, current)
        passed_over: list[str] = []
        misfit: MateMismatch | None = None
        for target in self._earlier(asked.component, records, current):
            try:
                self._check(target)
            except MateMismatch as error:
                misfit = misfit or error
                passed_over.append(error.message)
            else:
                return target
        if misfit is not None and asked.component is not None:
            raise MateMismatch(misfit.message, "roll the whole set back, or name versions with a promotion")
        raise NothingStable(
            f"no set that was committed before is left and stable for {asked.component or 'the whole set'}",
            "; ".join(passed_over) or "publish a version, mark it stable, and promote it",
        )

    def _earlier(self, component: str | None, records: list[Record], current: Committed) -> Iterator[dict[str, str]]:
        left = left_for_good(records)

        def usable(name: str, version: str) -> bool:
            return self._is_usable(name, version, left.get((name, version)))

        if component is None:
            yield from earlier_sets(records, current.versions, usable)
            return
        for version in earlier_versions(records, component, current.versions[component], usable):
            yield {**current.versions, component: version}

    def _named(self, component: str, version: str, current: Committed) -> dict[str, str]:
        named = self._registry.find(component, version).version
        if named == current.versions[component]:
            raise Conflict(f"{component} {named} is wanted already", "name another, or none")
        target = {**current.versions, component: named}
        self._check(target)
        return target

    def _of_generation(self, generation: int, desired: Desired, current: Committed) -> dict[str, str]:
        known = {each.generation: each for each in (*desired.previous, current)}
        if generation not in known:
            raise Unknown(
                f"no set of generation {generation} was committed",
                f"these were: {', '.join(map(str, sorted(known)))}",
            )
        target = {name: known[generation].versions.get(name, version) for name, version in current.versions.items()}
        if target == current.versions:
            raise Conflict(f"the set of generation {generation} is wanted already", "name another, or none")
        self._check(target)
        return target

    def _check(self, target: dict[str, str]) -> None:
        entries = [self._registry.find(name, version) for name, version in target.items()]
        for entry in entries:
            if entry.status is Status.REJECTED:
                raise Refused(f"{entry.component} {entry.version} is rejected", "mark it stable first, or name another")
        check_fit(entries)

    def _is_usable(self, component: str, version: str, left: datetime | None) -> bool:
        """Stable, and not left for good at the time `left`, unless somebody has marked it stable since."""
        try:
            if self._registry.find(component, version).status is not Status.STABLE:
                return False
            return left is None or any(
                change.version == version and change.status is Status.STABLE and change.at > left
                for change in self._registry.log(component)
            )
        except (Unknown, Refused):
            return False

    def _reject(self, component: str, version: str, who: str, why: str) -> str:
        try:
            self._registry.mark(component, version, Status.REJECTED, who, why)
        except ModelHostError as error:
            _log.exception("%s %s could not be marked as rejected", component, version)
            return f"{component} {version} could not be marked as rejected: {error.message}"
        return ""


def _demand_sense(asked: Asked, current: Committed) -> None:
    if asked.component is not None and asked.component not in current.versions:
        raise Unknown(f"no component {asked.component!r} serves", f"these do: {', '.join(current.versions)}")
    if asked.component is None and asked.to_version is not None:
        raise InvalidRequest("a version belongs to a component", "name the component, or a generation of the set")
    if asked.component is not None and asked.to_generation is not None:
        raise InvalidRequest("a generation belongs to the whole set", "name no component")


def _record(committed: Committed) -> Record:
    """In the words of serving's history, whose rules for going back hold here too."""
    return Record(
        committed.at,
        Kind.ROLLBACK if committed.kind == "rollback" else Kind.SWAP,
        Outcome.SWITCHED,
        committed.who,
        committed.why,
        committed.generation,
        {},
        committed.versions,
        committed.rejected,
    )
