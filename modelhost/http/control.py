"""Who carries out what an operator asks for: this host alone, or a cluster of which it is a member.

A service with several processes hands in a `Control` of its own; the endpoints know no other way to switch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from modelhost.cluster.lookout import Seen
from modelhost.errors import Conflict, Unknown
from modelhost.host.host import ModelHost
from modelhost.loading.books import canonical
from modelhost.registry.looking import Looking
from modelhost.serving.asked import Asked
from modelhost.serving.history import Kind, Outcome, Record

_INSTEAD = "promote another version first"


@dataclass(frozen=True, slots=True)
class Switched:
    """What an operator is told of a switch: component → version of the whole set, and `detail` as it is sent."""

    generation: int
    versions: Mapping[str, str]
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brought:
    """A version that was asked into memory; `fresh`: it was not there before, or not held there."""

    version: str
    fresh: bool


class Control(Protocol):
    """Switches, loads, and says where a service stands. Every method may block; errors are those of modelhost.

    `expected_generation`: what the caller has seen serve, None for whatever does. Where another does, Superseded.
    """

    def promote(
        self, versions: Mapping[str, str], *, who: str, why: str, expected_generation: int | None = None
    ) -> Switched:
        """Lets these serve as one set and marks them stable."""

    def rollback(self, asked: Asked, *, who: str, reason: str, expected_generation: int | None = None) -> Switched:
        """Takes a component, a set or everything back, and rejects what is left."""

    def load(self, component: str, version: str, *, who: str) -> Brought:
        """Brings a version, or `latest`, into memory, where anybody may ask for it by its number. Switches nothing."""

    def unload(self, component: str, version: str | None, *, who: str) -> None:
        """Takes a version out of memory, or all of the component that serve nobody; what is not there has left already.
        Raises Unknown for what there is not, and Conflict for what serves or is pinned."""

    def why_not_ready(self) -> str:
        """Why this process should not be sent requests; nothing where it may be."""

    def seen(self, now: bool) -> Seen | None:
        """What is known of the members, None where there is one process alone. `now`: looks first; else it waits for
        nothing."""


class HostControl:
    """A host that follows nobody."""

    def __init__(self, host: ModelHost) -> None:
        self._host = host

    def promote(
        self, versions: Mapping[str, str], *, who: str, why: str, expected_generation: int | None = None
    ) -> Switched:
        """As one set, on this host."""
        return _switched(self._host.promote(versions, who=who, why=why, expected_generation=expected_generation))

    def rollback(self, asked: Asked, *, who: str, reason: str, expected_generation: int | None = None) -> Switched:
        """On this host."""
        record = self._host.rollback(**asdict(asked), who=who, reason=reason, expected_generation=expected_generation)
        return _switched(record)

    def load(self, component: str, version: str, *, who: str) -> Brought:
        """Into this host's memory."""
        there = {each.version for each in self._host.pool.residents() if each.component == component}
        number = self._host.load(component, version)
        return Brought(number, number not in there)

    def unload(self, component: str, version: str | None, *, who: str) -> None:
        """Out of this host's memory. Without a version, raises Conflict where all that is there serves or is pinned."""
        if version is not None:
            self._unload(component, canonical(version))
            return
        there = [each for each in self._host.pool.residents() if each.component == component]
        if not there:
            self._host.registry.versions(component)
            return
        idle = [each for each in there if not each.holders and not each.pinned]
        if not idle:
            said = ", ".join(f"{each.version} {'serves' if each.holders else 'is pinned'}" for each in there)
            raise Conflict(f"{component} {said}", _INSTEAD)
        for each in idle:
            self._host.pool.discard(component, each.version)  # one that has left since, or serves by now, is well too

    def _unload(self, component: str, version: str) -> None:
        live = self._host.serving.live.serving()
        if live is not None and live.versions.get(component) == version:
            raise Conflict(f"{component} {version} serves", _INSTEAD)
        try:
            self._host.unload(component, version)
        except Unknown:
            if (component, version) in self._host.pool.loading():
                raise Conflict(f"{component} {version} is being loaded", "unload it when it is there") from None
            Looking(self._host.registry).find(component, version)  # there is no such version, or it is not in memory

    def why_not_ready(self) -> str:
        """Ready is what has a set that serves."""
        return "" if self._host.serving.live.serving() else "nothing serves yet"

    def seen(self, now: bool) -> None:
        """Nobody: there is one alone."""


def plain(record: Record) -> dict[str, Any]:
    """A switch as JSON."""
    found = {**asdict(record), "at": record.at.isoformat(), "changed": record.changed}
    del found["process"]
    return found


def past(records: Iterable[Record], of_members: bool) -> list[dict[str, Any]]:
    """The history as JSON, the oldest first: each switch with the `processes` that wrote it down. Members of a cluster
    may share the file: a switch of theirs is told once, as the first that made it wrote it, with all that did. A start
    is each one's own."""
    found: dict[object, dict[str, Any]] = {}
    for number, record in enumerate(records):
        common = of_members and record.kind is not Kind.START and record.outcome is Outcome.SWITCHED
        switch = record.generation, record.kind, record.who, record.why, tuple(sorted(record.after.items()))
        key = switch if common else number  # generations alone may begin anew, as in a cluster whose place was emptied
        if key not in found:
            found[key] = {**plain(record), "processes": []}
        processes = found[key]["processes"]
        if record.process and record.process not in processes:
            processes.append(record.process)
    return list(found.values())


def _switched(record: Record) -> Switched:
    return Switched(record.generation, record.after, plain(record))
