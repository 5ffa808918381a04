"""Where a rollback may go, the best first: by what was asked, what served here, what the registry calls stable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from modelhost.errors import Conflict, Refused, RegistryUnavailable, Unknown
from modelhost.registry.base import Entry, Registry, Status
from modelhost.serving.asked import SERVED, Asked, Words
from modelhost.serving.following import following
from modelhost.serving.history import History, Outcome, Record
from modelhost.serving.sets import ServingSet
from modelhost.serving.targets import Usable, earlier_sets, earlier_versions, left_for_good, older

_FORWARD = "promote it: going forward is a promotion, and has a gate"


class Destinations:
    """Asks the history and the registry at each call; loads nothing."""

    def __init__(self, registry: Registry, history: History) -> None:
        self._registry = registry
        self._history = history

    def of(self, asked: Asked, serving: ServingSet) -> Iterator[dict[str, str]]:
        """Whole sets to try, the best first: what served here, then older versions that never did."""
        records, current = self._history.records(), dict(serving.versions)
        yield from earlier(self._registry, records, asked, current)
        component, usable = asked.component, _usable(self._registry, records)
        if component is None and asked.to_generation is None:
            for name in current:
                for entry in self._older(records, name, current[name], usable):
                    yield {**current, **mates(self._registry, entry, current), name: entry.version}
        elif component is not None and asked.to_version is None:
            for entry in self._older(records, component, current[component], usable):
                others = self._with_it(entry, serving, usable) if asked.together else {}
                yield {**current, **others, component: entry.version}
        elif component is not None and asked.to_version is not None and asked.together:
            entry = self._registry.find(component, asked.to_version)
            yield {**current, **self._with_it(entry, serving, usable), component: entry.version}

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


def earlier(
    registry: Registry, records: list[Record], asked: Asked, current: Mapping[str, str], words: Words = SERVED
) -> Iterator[dict[str, str]]:
    """Whole sets to try in place of the `current` one (component → version), of what the records say was there before,
    the best first. Raises Unknown, Conflict, Refused for what was named and cannot be."""
    component, usable = asked.component, _usable(registry, records)
    if asked.to_generation is not None:
        yield _of_generation(records, asked.to_generation, current, words)
        return
    if component is None:
        yield from earlier_sets(records, current, usable)
        return
    named = None
    if asked.to_version is not None:
        entry = registry.find(component, asked.to_version)
        named = entry.version
        if named == current[component]:
            raise Conflict(f"{component} {named} {words.now} already", "name another, or none")
        demand_way_back(registry, records, entry, current[component])
    for version in [named] if named else earlier_versions(records, component, current[component], usable):
        yield {**current, component: version}
        if asked.together:
            sets = earlier_sets(records, current, usable, component)
            yield from (each for each in sets if each[component] == version)


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
    if not _usable(registry, records)(component, version):
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


def _of_generation(records: list[Record], generation: int, current: Mapping[str, str], words: Words) -> dict[str, str]:
    found = [each for each in records if each.generation == generation and each.outcome is Outcome.SWITCHED]
    if not found:
        known = sorted({each.generation for each in records if each.outcome is Outcome.SWITCHED})
        raise Unknown(f"no set of generation {generation} {words.past}", f"{words.these}: {', '.join(map(str, known))}")
    target = {name: found[-1].after.get(name, version) for name, version in current.items()}
    if target == current:
        raise Conflict(f"the set of generation {generation} {words.now} already", "name another, or none")
    return target


def _usable(registry: Registry, records: list[Record]) -> Usable:
    left = left_for_good(records)
    return lambda component, version: _is_usable(registry, component, version, left.get((component, version)))


def _is_usable(registry: Registry, component: str, version: str, left: datetime | None) -> bool:
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
