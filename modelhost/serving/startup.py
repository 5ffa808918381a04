"""The first set after a start: the wanted one, one that served before, an older one, or what can with fallbacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from modelhost.errors import LoadFailed, MateMismatch, ModelHostError, Refused, RegistryUnavailable, Unknown
from modelhost.loading.base import Loaded
from modelhost.metadata import canonical_version
from modelhost.registry.base import LATEST, Entry, Status
from modelhost.serving.destinations import mates
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.settling import settle
from modelhost.serving.swap import Swapper
from modelhost.serving.switching import Attempt, Switching
from modelhost.serving.targets import earlier_sets, left_for_good, older

_UNFIT = (Refused, LoadFailed, Unknown)


class Starter:
    """Gets something to serve, and says what it is not."""

    def __init__(self, switching: Switching, swapper: Swapper, fallbacks: Mapping[str, Loaded]) -> None:
        self._parts = switching
        self._swapper = swapper
        self._fallbacks = fallbacks

    def start(self, wanted: Mapping[str, str] | None = None, *, who: str = "start-up", why: str = "start") -> Record:
        """Loads the set that is wanted: component → version or `latest`; None for the set that served last, or else
        the newest stable version of every component.

        One that is refused or fails gives way to the sets that served before and are not rejected, the latest first,
        then to older stable versions of a component that cannot be loaded, as in a service that was just installed,
        and then to declared fallbacks for those components; `notes` say so and an alert is sent.
        Raises what refused the wanted set where nothing helps. What a rollback left undone is ended first.
        """
        self.settle()
        wanted = self.wanted() if wanted is None else dict(wanted)
        try:
            return self._swapper.swap(wanted, who=who, why=why, kind=Kind.START)
        except _UNFIT as error:
            refused = error
        for target in chain(self._earlier(wanted), self._older(wanted, refused)):
            try:
                return self._swapper.swap(target, who=who, why=why, kind=Kind.START, alert=refused.message)
            except _UNFIT:
                continue
        return self._with_fallbacks(wanted, Attempt(Kind.START, who, why, {}), refused)

    def settle(self) -> None:
        """Ends what a rollback left undone, whose process died or whose registry was away."""
        settle(self._parts.registry, self._parts.history.records())

    def wanted(self) -> dict[str, str]:
        """Component → version of the set that served last, or `latest` where there is none."""
        served = next((r for r in self._parts.history.switches()), None)
        if served is None:
            return dict.fromkeys(self._parts.registry.components(), LATEST)
        return {
            name: version if name not in served.fallbacks and self._is_allowed(name, version) else LATEST
            for name, version in served.after.items()
        }

    def _earlier(self, wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
        yield from earlier_sets(self._parts.history.records(), wanted, self._is_allowed)

    def _older(self, wanted: Mapping[str, str], refused: ModelHostError) -> Iterator[dict[str, str]]:
        """The wanted set with an older stable version, and the mates that it names, for what cannot be loaded, or
        where they do not fit together for any of them."""
        left = left_for_good(self._parts.history.records())
        for name, version in wanted.items():
            if not isinstance(refused, MateMismatch) and self._loads(name, version):
                continue
            for entry in self._stable_below(name, version):
                if (name, entry.version) not in left:
                    yield {**wanted, **mates(self._parts.registry, entry, wanted), name: entry.version}

    def _loads(self, component: str, version: str) -> bool:
        try:
            self._parts.pool.lease(component, self._parts.registry.find(component, version).version).release()
        except _UNFIT:
            return False
        return True

    def _stable_below(self, component: str, version: str) -> list[Entry]:
        """The newest first; all stable ones where it is not even known which one was wanted."""
        registry = self._parts.registry
        try:
            stable = {each.version: each for each in registry.versions(component) if each.status is Status.STABLE}
        except (*_UNFIT, RegistryUnavailable):
            return []
        try:
            limit = registry.find(component, version).version
        except _UNFIT:
            if version == LATEST:
                return list(stable.values())
            limit = version
        try:
            return [stable[each] for each in older(stable, canonical_version(limit))]
        except ValueError:  # what was wanted is no version
            return []

    def _is_allowed(self, component: str, version: str) -> bool:
        try:
            return self._parts.registry.find(component, version).status is not Status.REJECTED
        except _UNFIT:
            return False

    def _with_fallbacks(self, wanted: Mapping[str, str], attempt: Attempt, refused: ModelHostError) -> Record:
        parts, started = self._parts, time.perf_counter()
        chosen: dict[str, Entry | Loaded] = {}
        notes = [refused.message]
        for name, version in wanted.items():
            try:
                entry = parts.registry.find(name, version)
                parts.pool.lease(name, entry.version).release()
                chosen[name] = entry
            except _UNFIT as error:
                if name not in self._fallbacks:
                    raise refused from error
                chosen[name] = self._fallbacks[name]
                notes.append(f"{name}: a fallback serves: {error.message}")
        if not any(isinstance(each, Loaded) for each in chosen.values()):
            raise refused  # each can be loaded, and they do not fit together
        ready = parts.prepare(chosen, parts.live.generation)
        flip = parts.flip(ready)
        stand_ins = tuple(name for name, each in chosen.items() if isinstance(each, Loaded))
        after = {n: FALLBACK_VERSION if isinstance(each, Loaded) else each.version for n, each in chosen.items()}
        record = replace(
            attempt.record(parts.now(), Outcome.SWITCHED, ready.generation, after),
            seconds=ready.seconds(started, flip, time.perf_counter()),
            fallbacks=stand_ins,
            notes=tuple(notes),
        )
        parts.write(record)
        parts.tell(record, alert=True)
        return record
