"""A member of a cluster behind HTTP: what operators switch, load and unload goes to all members, and `/status` says who
is not there yet.

A promotion returns when all living members have loaded the set and may flip; this waits until they have, for
`patience` seconds. A rollback waits for this member alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace

from modelhost.cluster.lookout import Seen
from modelhost.cluster.membership import Membership
from modelhost.cluster.returns import Switch
from modelhost.cluster.telling import as_record
from modelhost.errors import Conflict, MateMismatch, ModelHostError, Unknown
from modelhost.http.control import Brought, Switched, plain
from modelhost.loading.books import canonical
from modelhost.registry.directory import utc_now
from modelhost.registry.looking import Looking
from modelhost.serving.asked import Asked
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.sets import spoken

PATIENCE_SECONDS = 10.0
_log = logging.getLogger(__name__)


class ClusterControl:
    """The `Control` of a member."""

    def __init__(self, membership: Membership, patience: float = PATIENCE_SECONDS) -> None:
        self._membership = membership
        self._patience = patience

    def promote(
        self, versions: Mapping[str, str], *, who: str, why: str, expected_generation: int | None = None
    ) -> Switched:
        """Behind the barrier: all members, or none."""
        coordinator, host = self._membership.coordinator, self._membership.host
        with _logged(versions, who):
            whole = host.whole(versions)
            try:
                went = coordinator.promote(whole, who=who, why=why, expected_generation=expected_generation)
            except MateMismatch as error:
                raise MateMismatch(error.message, host.way_out(whole) or error.hint) from error
        if went.before == went.committed:
            return _switched(_unchanged(went, who, why), self._behind())
        self._membership.follower.wake()
        found = coordinator.served(went.committed.generation, self._patience)
        return _switched(_record(went), found.behind)

    def rollback(self, asked: Asked, *, who: str, reason: str, expected_generation: int | None = None) -> Switched:
        """At once, without the barrier: done when it is committed and this member has gone back. The others do as soon
        as they look, or are dead: nobody waits for them."""
        component, together = self._membership.host.scope(asked.component, asked.to_version, asked.together)
        scoped = replace(asked, component=component, together=together)
        went = self._membership.coordinator.rollback(
            **asdict(scoped), who=who, reason=reason, expected_generation=expected_generation
        )
        self._membership.follower.wake()
        self._membership.follower.arrives(went.committed.generation, self._patience)
        return _switched(_record(went), self._behind())

    def load(self, component: str, version: str, *, who: str) -> Brought:
        """Into the memory of all living members, or of none; those that come later load it too."""
        number = self._membership.host.loadable(component, version)
        return Brought(number, self._membership.coordinator.hold(component, number, who=who))

    def unload(self, component: str, version: str | None, *, who: str) -> None:
        """Out of the memory of all members, whoever brought it there."""
        number = None if version is None else canonical(version)
        host, coordinator = self._membership.host, self._membership.coordinator
        if component not in host.settings.components:
            raise Unknown(f"no component {component!r}", f"there is {', '.join(host.settings.components)}")
        if number is not None:
            here = [e for e in host.pool.residents() if (e.component, e.version) == (component, number)]
            if any(each.pinned for each in here):
                raise Conflict(f"{component} {number} is pinned", "unpin it first")
            held = any((each.component, each.version) == (component, number) for each in coordinator.report().held)
            if not here and not held:
                Looking(host.registry).find(
                    component, number
                )  # there is no such version, or it may be in another's memory
        coordinator.let_go(component, number, who=who)

    def why_not_ready(self) -> str:
        """What the follower says."""
        readiness = self._membership.follower.ready()
        return "" if readiness.ready else readiness.reason

    def seen(self, now: bool) -> Seen:
        """The cluster's report: of this moment, or the last that there was, which waits for nothing."""
        lookout = self._membership.lookout
        return lookout.look() if now else lookout.last

    def _behind(self) -> tuple[str, ...]:
        report = self._membership.lookout.look().report
        return report.behind if report else ()


def _record(went: Switch) -> Record:
    return replace(as_record(went.committed, went.before), notes=went.notes)


def _unchanged(went: Switch, who: str, why: str) -> Record:
    """A promotion of what is committed already: nothing was done, for this caller."""
    found = replace(_record(went), kind=Kind.SWAP, outcome=Outcome.UNCHANGED, rejected={})
    return replace(found, at=utc_now(), who=who, why=why)


def _switched(record: Record, behind: Sequence[str]) -> Switched:
    """As a host alone answers, and the members that do not serve it yet."""
    return Switched(record.generation, record.after, {**plain(record), "behind": list(behind)})


@contextmanager
def _logged(versions: Mapping[str, str], who: str) -> Iterator[None]:
    """A promotion that did not happen is a line in the log of the member that was asked."""
    try:
        yield
    except ModelHostError as error:
        _log.warning("promotion of %s did not happen (%s): %s", spoken(versions), who, error)
        raise
