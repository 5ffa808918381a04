"""What an operator does to a host: promote, roll back, restore, load, unload. All else about a switch is serving's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from modelhost.config.model import Settings
from modelhost.errors import Conflict, MateMismatch, ModelHostError, Unknown, rejected
from modelhost.loading.base import Loaded
from modelhost.registry.base import LATEST, Entry, Registry, Status
from modelhost.registry.looking import Looking
from modelhost.registry.mates import check_has_mates
from modelhost.serving.following import fits, following
from modelhost.serving.history import Record
from modelhost.serving.marks import mark_stable
from modelhost.serving.serving import Serving
from modelhost.serving.switching import demand_reason


class Switches:
    """`afterwards` is called after each, so that what depends on the registry's status is looked at anew; `demand`
    is called before, and raises where nothing can be switched."""

    def __init__(
        self,
        registry: Registry,
        serving: Serving,
        settings: Callable[[], Settings],
        afterwards: Callable[[], None],
        demand: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._looking = Looking(registry)
        self._serving = serving
        self._settings = settings
        self._afterwards = afterwards
        self._demand = demand

    def promote(
        self,
        versions: Mapping[str, str],
        *,
        who: str,
        why: str,
        generation: int | None = None,
        expected_generation: int | None = None,
    ) -> Record:
        """Lets these serve as one set (component → version or `latest`), and marks them stable. Raises as a swap.

        The name of a set stands for its first component, and brings what `whole` says; a component stands for itself.
        """
        self._demand()
        versions = self.whole(versions)
        try:
            record = self._serving.swap(
                versions, who=who, why=why, generation=generation, expected_generation=expected_generation
            )
        except MateMismatch as error:
            raise MateMismatch(error.message, self.way_out(versions) or error.hint) from error
        problems = mark_stable(self._registry, {name: record.after[name] for name in versions}, who, why)
        self._afterwards()
        return replace(record, notes=(*record.notes, *problems))

    def whole(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """`versions` without names of sets: a version of a set is one of its first component, and the others of the set
        move as `following` says; what else is named goes before them. Raises Unknown, RegistryUnavailable."""
        sets = {name: members for name, members in self._settings().sets.items() if name in versions}
        if not sets:
            return versions
        found = {name: self._looking.find(name, version) for name, version in versions.items() if name not in sets}
        for name, (lead, *others) in sets.items():
            if lead not in found:
                found[lead] = self._looking.find(lead, versions[name])
            found |= following(found, others, self._serving.live.serving() or {}, self._promotable)
        return {name: each.version for name, each in found.items()}

    def way_out(self, versions: Mapping[str, str]) -> str:
        """How to promote these (component → version), which do not fit what serves; nothing where no way is known."""
        live: Mapping[str, Loaded] = self._serving.live.serving() or {}
        try:
            named = {name: self._looking.find(name, version) for name, version in versions.items()}
            more = following(named, list(self._settings().components), live, self._promotable)
        except ModelHostError:
            return ""
        there: dict[str, Entry | Loaded] = {**live, **named, **more}
        if not more or not fits(there.values()):
            return ""
        whole = {name: each.version for name, each in {**named, **more}.items()}
        brings = ", ".join(f"{name} {each.version}" for name, each in more.items())
        return f"with {brings} they do; one set is promoted as a whole: POST /promote with versions {json.dumps(whole)}"

    def _promotable(self, component: str) -> list[Entry]:
        try:
            return [each for each in self._registry.versions(component) if each.status is not Status.REJECTED]
        except Unknown:
            return []

    def rollback(
        self,
        component: str | None = None,
        to_version: str | None = None,
        *,
        who: str,
        reason: str,
        together: bool = False,
        to_generation: int | None = None,
        expected_generation: int | None = None,
    ) -> Record:
        """To what served before and is stable; see `Roller.rollback`. The name of a set takes its components back."""
        self._demand()
        component, together = self.scope(component, to_version, together)
        record = self._serving.rollback(
            component,
            to_version,
            who=who,
            reason=reason,
            together=together,
            to_generation=to_generation,
            expected_generation=expected_generation,
        )
        self._afterwards()
        return record

    def restore(self, component: str, version: str, *, who: str, why: str) -> str:
        """Takes a rejection back: the version is unstable, as a fresh one, and may be promoted; returns which it is.

        Raises Conflict for one that is not rejected, Unknown, RegistryUnavailable.
        """
        demand_reason(who, why)
        entry = self._looking.find(component, version)
        if entry.status is not Status.REJECTED:
            raise Conflict(f"{component} {entry.version} is {entry.status}, not rejected", "promote it as it is")
        self._registry.mark(component, entry.version, Status.UNSTABLE, who, why)
        self._afterwards()
        return entry.version

    def scope(self, component: str | None, to_version: str | None, together: bool) -> tuple[str | None, bool]:
        """What a rollback of a set means: everything, where the set is everything; else its first component with its
        mates. A version of a set is one of its first component. A component is itself."""
        members = self._settings().sets.get(component or "")
        if members is None:
            return component, together
        if to_version is None and set(members) == set(self._settings().components):
            return None, False
        return members[0], True

    def loadable(self, component: str, version: str = LATEST) -> str:
        """Which version a load would bring into memory. Raises Unknown, Refused for a rejected one, MateMismatch where
        the registry lacks its mates, and what else a registry raises."""
        entry = self._looking.find(component, version)
        if entry.status is Status.REJECTED:  # which may be in memory still, for requests that began with it
            raise rejected(component, entry.version)
        mates = [name for name in entry.info.mates if name in self._settings().components]
        there = [each.info for name in mates for each in self._registry.versions(name)]
        check_has_mates(entry.info.model_copy(update={"mates": {n: entry.info.mates[n] for n in mates}}), there)
        return entry.version

    def load(self, component: str, version: str = LATEST, wait: float | None = None) -> str:
        """Brings a version into memory, where anybody may then ask for it by name; returns which one that is.

        Raises what `loadable` and a load raise.
        """
        self._demand()
        number = self.loadable(component, version)
        self._serving.pool.lease(component, number, wait).release()
        self._afterwards()
        return number

    def unload(self, component: str, version: str) -> bool:
        """Takes one out of memory; False when it leaves with its last request. Raises Conflict for one that serves."""
        return self._serving.pool.unload(component, version)
