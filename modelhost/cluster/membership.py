"""A host that is a member of a cluster: what it follows, who switches from here, who looks at the others.

    host = ModelHost.open("modelhost.yaml", loaders, start=False)
    membership = Membership.of(host)
    membership.start()

`ModelHttp.open` does this where the configuration has a section `cluster`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.follower import Follower
from modelhost.cluster.lookout import Lookout
from modelhost.cluster.place import Place, place_at
from modelhost.cluster.rejections import RejectionTeller
from modelhost.cluster.telling import Teller, as_record
from modelhost.cluster.timings import Timings
from modelhost.config.model import ClusterSection, Settings
from modelhost.errors import ConfigError, Refused, Unknown
from modelhost.host.host import ModelHost
from modelhost.host.reloading import Nothing, new_defaults
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.sets import spoken
from modelhost.serving.settling import settle

WHO = "start-up"
WHY = "the first set of the cluster"
_LOOKS_IN_A_TTL = 4


class Membership:
    """Start it in the process that serves, after any fork; close it before its host.

    The host was opened with `start=False`. `name` is for people; `memory` is a file for what is to be known at a start
    without the registry.
    """

    def __init__(
        self,
        host: ModelHost,
        place: Place,
        timings: Timings | None = None,
        *,
        name: str = "",
        memory: Path | None = None,
    ) -> None:
        timings = timings or Timings()
        stand_ins = [each.component for each in host.fallbacks]
        self.host = host
        self.follower = Follower(
            host.serving,
            place,
            timings,
            name=name,
            memory=memory,
            fallbacks=host.fallbacks,
            found=host.shelf.refresh,
        )
        host.serving.history.process = self.follower.name
        self.teller = Teller(host.serving.events, place, timings.ttl)
        self.rejections = RejectionTeller(host.rejections, host.serving.events, place, timings.ttl)
        self.coordinator = Coordinator(
            place, host.registry, timings, fallbacks=stand_ins, teller=self.teller, check=host.pool.check
        )
        self.lookout = Lookout(self.coordinator, timings.ttl / _LOOKS_IN_A_TTL, self._look_after)
        self._seen = self._settled = 0
        host.configuration.follow("the cluster", _refuse_defaults)
        host.cache.wanted.append(self.follower.wanted)

    @classmethod
    def of(cls, host: ModelHost) -> Membership:
        """As the host's configuration says. Raises ConfigError where it says nothing of a cluster, or names a place
        that cannot be one."""
        section = host.settings.cluster
        if section is None:
            raise ConfigError("the configuration has no section `cluster`", "cluster: {group: NAME}")
        place, name = _place(host.settings, section), section.member or ""
        which = hashlib.sha256(f"{place.url} {section.group}".encode()).hexdigest()[:12]
        memory = host.serving.history.path.with_name(f"cluster-{which}.json")
        return cls(host, place, _timings(section), name=name, memory=memory)

    def start(self) -> None:
        """Begins to follow. Where nothing was ever committed, this member says what is served first: what it would
        serve alone. Loading goes on when this returns: the follower is ready when it serves.

        Raises what refuses that first set; RegistryUnavailable where there is neither a registry nor a memory of it;
        Unavailable in a fork of the process that opened the host.
        """
        self.host.process.demand()
        self.host.serving.settle()
        readiness = self.follower.start()
        if readiness.away and self.follower.committed is not None:
            self.teller.remembered(self.follower.name, self.follower.committed, readiness.away)
        if self.follower.committed is None:
            self.coordinator.found(self._first(), who=WHO, why=WHY, above=self.host.serving.live.generation)
            self.follower.wake()
        self.lookout.start()

    def close(self) -> None:
        """Leaves the cluster. What serves goes on serving until the host is closed. Nothing is done in a fork of the
        process that opened it: the member is that one."""
        if not self.host.process.is_here:
            return
        self.lookout.close()
        self.follower.close()
        self.teller.close()
        self.rejections.close()

    def _look_after(self) -> None:
        """What others left undone, and what is wrong here."""
        self._settle()
        self.teller.unable(self.follower.committed, self.follower.status())
        self.teller.look(self.follower.committed, self._is_first)
        self.rejections.look(self.follower.committed, self._is_first)

    def _is_first(self) -> bool:
        return self.coordinator.is_first(self.follower.key)

    def _settle(self) -> None:
        """Marks what a committed rollback rejected, where its coordinator died before it could: that has from one look
        to the next for it."""
        goal = self.follower.committed
        if goal is None or not goal.rejected or goal.generation == self._settled:
            return
        if goal.generation == self._seen:
            settle(self.host.registry, [as_record(goal)])
            self._settled = goal.generation
        self._seen = goal.generation

    def _first(self) -> dict[str, str]:
        """What this host would serve alone, with declared fallbacks where there is no version."""
        return {name: self._or_fallback(name, version) for name, version in self.host.wanted().items()}

    def _or_fallback(self, component: str, version: str) -> str:
        try:
            self.host.registry.find(component, version)
        except (Refused, Unknown):
            if any(each.component == component for each in self.host.fallbacks):
                return FALLBACK_VERSION
            raise
        return version


def _place(settings: Settings, section: ClusterSection) -> Place:
    """Where the section says, or else where the registry is."""
    registry = settings.registry
    where = section.place or (registry.url if registry.root is None else registry.root)
    assert where is not None  # a registry has the one or the other
    return place_at(where, section.group)


def _timings(section: ClusterSection) -> Timings:
    return Timings(section.ttl, section.heartbeat, section.poll, section.patience, section.retry)


def _refuse_defaults(new: Settings, old: Settings) -> Nothing:
    """A cluster's members serve what is committed, whatever their files say. Raises ConfigError."""
    if changes := new_defaults(new, old):
        raise ConfigError(
            f"another default ({spoken(changes)}) moves nothing in a cluster", "promote it; a default counts once"
        )
    return Nothing()
