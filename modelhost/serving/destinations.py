"""Where a rollback may go, the best first: by what was asked, what served here, what the registry calls stable."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from modelhost.errors import Conflict, InvalidRequest, ModelHostError, Refused, RegistryUnavailable, Unknown
from modelhost.registry.base import Entry, Registry, Status
from modelhost.serving.following import following
from modelhost.serving.history import History, Outcome, Record
from modelhost.serving.sets import ServingSet
from modelhost.serving.targets import Usable, earlier_sets, earlier_versions, left_for_good, older

_FORWARD = "promote it: going forward is a promotion, and has a gate"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to go back, and where to. `component` None: the whole set. `to_version` of the component, or
    `to_generation` of the set: what served before and is stable where neither is named. `together`: mates may go back
    with it."""

    component: str | None = None
    to_version: str | None = None
    to_generation: int | None = None
    together: bool = False

    @property
    def named(self) -> bool:
        """Whether the target was named, so that none further back will do."""
        return self.to_version is not None or self.to_generation is not None


class Destinations:
    """Asks the history and the registry at each call; loads nothing."""

    def __init__(self, registry: Registry, history: History) -> None:
        self._registry = registry
        self._history = history

    def of(self, asked: Asked, serving: ServingSet) -> Iterator[dict[str, str]]:
        """Whole sets to try, the best first."""
        records, current = self._history.records(), dict(serving.versions)
        component = asked.component
        if asked.to_generation is not None:
            yield _of_generation(records, asked.to_generation, current)
            return
        left = left_for_good(records)

        def usable(name: str, version: str) -> bool:
            return is_usable(self._registry, name, version, left.get((name, version)))

        if component is None:
            yield from earlier_sets(records, current, usable)
            for name in current:
                for entry in self._older(records, name, current[name], usable):
                    yield {**current, **mates(self._registry, entry, current), name: entry.version}
            return
        if asked.to_version is not None:
            entry = self._registry.find(component, asked.to_version)
            version = entry.version
            if version == current[component]:
                raise Conflict(f"{component} {version} serves already", "name another, or none")
            demand_way_back(self._registry, records, entry, current[component])
            yield {**current, component: version}
            if asked.together:
                sets = earlier_sets(records, current, usable, component)
                yield from (each for each in sets if each[component] == version)
                yield {**current, **self._with_it(entry, serving, usable), component: version}
            return
        for version in earlier_versions(records, component, current[component], usable):
            yield {**current, component: version}
            if asked.together:
                sets = earlier_sets(records, current, usable, component)
                yield from (each for each in sets if each[component] == version)
        for entry in self._older(records, component, current[component], usable):
            others = self._with_it(entry, serving, usable) if asked.together else {}
            yield {**current, **others, component: entry.version}

    def _older(self, records: list[Record], component: str, current: str, usable: Usable) -> list[Entry]:
        """Older stable versions that never served here, as in a service that was just installed, the newest first."""
        served = {current, *earlier_versions(records, component, current, lambda *each: True)}
        try:
            there = {entry.version: entry for entry in self._registry.versions(component)}
        except (Unknown, Refused, RegistryUnavailable):  # what serves may outlive its registry
            return []
        found = [version for version in older(there, current) if version not in served]
        return [there[version] for version in found if usable(component, version)]

    def _with_it(self, entry: Entry, serving: ServingSet, usable: Usable) -> dict[str, str]:
        """Older mates that go back with a version that never served here, whichever of them names the other."""

        def known(name: str) -> list[Entry]:
            there = {each.version: each for each in self._registry.versions(name)}
            return [there[each] for each in older(there, serving.versions[name]) if usable(name, each)]

        moved = following({entry.component: entry}, [*serving], serving, known)
        return {name: each.version for name, each in moved.items()}

    def way_out(self, asked: Asked, serving: ServingSet) -> str:
        """What `together` would do, for the person who has to decide."""
        for target in self.of(replace(asked, together=True), serving):
            moved = [f"{n} {serving.versions[n]} → {v}" for n, v in target.items() if v != serving.versions[n]]
            if len(moved) > 1:
                return f"with together=True these go back as one: {', '.join(moved)}"
        return "no set that served fits; name versions with a swap"


def demand_way_back(registry: Registry, records: list[Record], entry: Entry, current: str) -> None:
    """Raises Refused for a version that no rollback goes to, though it is named: one that is not stable or was left for
    good, and one newer than the `current` version that never served here."""
    component, version = entry.component, entry.version
    what = f"{component} {version}"
    if entry.status is Status.REJECTED:
        raise Refused(f"{what} is rejected", f"restore {what} first, and promote it, or name another")
    served = version in earlier_versions(records, component, current, lambda *each: True)
    before = "" if served else " and never served here"
    if entry.status is not Status.STABLE:
        raise Refused(f"{what} is {entry.status}{before}: a rollback goes to what is stable", _FORWARD)
    if not served and not older([version], current):
        raise Refused(f"{what} is newer than {current}{before}: a rollback goes back", _FORWARD)
    if not is_usable(registry, component, version, left_for_good(records).get((component, version))):
        raise Refused(f"{what} was left by a rollback, and nobody has marked it stable since", _FORWARD)


def mates(registry: Registry, entry: Entry, among: Mapping[str, str]) -> dict[str, str]:
    """Component → the version that has the digest which the entry names, of the components `among` (component → the
    version there): that one where it has it, else the newest which nobody rejected."""
    found: dict[str, str] = {}
    for name, digest in entry.info.mates.items():
        if name not in among:
            continue
        same = [each for each in registry.versions(name) if each.info.digest == digest]
        fit = [each.version for each in same if each.status is not Status.REJECTED]
        if fit:
            found[name] = among[name] if among[name] in fit else fit[0]
    return found


def demand_sense(asked: Asked, serving: Collection[str]) -> None:
    """Raises Unknown, InvalidRequest for what no rollback of the components that serve can mean."""
    if asked.component is not None and asked.component not in serving:
        raise Unknown(f"no component {asked.component!r} serves", f"these do: {', '.join(serving)}")
    if asked.component is None and asked.to_version is not None:
        raise InvalidRequest("a version belongs to a component", "name the component, or a generation of the set")
    if asked.component is not None and asked.to_generation is not None:
        raise InvalidRequest("a generation belongs to the whole set", "name no component")


def reject(registry: Registry, left: Mapping[str, str], who: str, why: str) -> list[str]:
    """Marks what was left (component → version), so that no rollback comes back to it. Returns what could not be
    marked, as in a registry out of reach, in words: the way back is gone already."""
    problems = []
    for name, version in left.items():
        try:
            registry.mark(name, version, Status.REJECTED, who, why)
        except ModelHostError as error:
            problems.append(f"{name} {version} could not be marked as rejected: {error.message}")
            _log.error("%s", problems[-1], exc_info=True)
    return problems


def accept(registry: Registry, component: str, version: str, who: str, why: str) -> None:
    """Marks what was promoted as stable. Where a rollback left it meanwhile, the rejection holds, also one that came
    in the moment before the mark. Raises what a registry raises."""
    if registry.find(component, version).status is not Status.UNSTABLE:
        return
    registry.mark(component, version, Status.STABLE, who, why)
    said = [change for change in registry.log(component) if change.version == version][-2:]
    if [change.status for change in said] == [Status.REJECTED, Status.STABLE]:
        registry.mark(component, version, Status.REJECTED, said[0].who, said[0].why)


def _of_generation(records: list[Record], generation: int, current: Mapping[str, str]) -> dict[str, str]:
    found = [each for each in records if each.generation == generation and each.outcome is Outcome.SWITCHED]
    if not found:
        known = sorted({each.generation for each in records if each.outcome is Outcome.SWITCHED})
        raise Unknown(f"no set of generation {generation} served", f"these did: {', '.join(map(str, known))}")
    target = {name: found[-1].after.get(name, version) for name, version in current.items()}
    if target == current:
        raise Conflict(f"the set of generation {generation} serves already", "name another, or none")
    return target


def is_usable(registry: Registry, component: str, version: str, left: datetime | None) -> bool:
    """Stable, and not left for good at the time `left`, unless somebody has marked it stable since."""
    try:
        if registry.find(component, version).status is not Status.STABLE:
            return False
        return left is None or any(
            change.version == version and change.status is Status.STABLE and change.at > left
            for change in registry.log(component)
        )
    except (Unknown, Refused):
        return False
