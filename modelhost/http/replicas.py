"""A host that is a member of a cluster: operators' switches go to all members, and `behind` says who is not there yet.

    host = ModelHost.open("modelhost.yaml", loaders, start=False)
    place = place_at("models", group="translation")
    follower = Follower(host.serving, place, fallbacks=host.fallbacks)
    http = ModelHttp(host, control=ClusterControl(host, Coordinator(place, host.registry), follower))
    follower.start()

Close the follower before the host. A promotion returns when all living members have loaded the set and may flip; this
waits until they have, for `patience` seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.desired import Committed
from modelhost.cluster.follower import Follower
from modelhost.host.host import ModelHost
from modelhost.http.control import Switched

PATIENCE_SECONDS = 10.0


class ClusterControl:
    """The `Control` of a member."""

    def __init__(
        self, host: ModelHost, coordinator: Coordinator, follower: Follower, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._host = host
        self._coordinator = coordinator
        self._follower = follower
        self._patience = patience

    def promote(self, versions: Mapping[str, str], *, who: str, why: str) -> Switched:
        """Behind the barrier: all members, or none."""
        return self._served(self._coordinator.promote(versions, who=who, why=why), ())

    def rollback(
        self, component: str | None, to_version: str | None, *, who: str, reason: str, together: bool
    ) -> Switched:
        """At once, without the barrier."""
        component, together = self._host.scope(component, to_version, together)
        went = self._coordinator.rollback(component, to_version, who=who, reason=reason, together=together)
        return self._served(went.committed, went.notes)

    def why_not_ready(self) -> str:
        """What the follower says."""
        readiness = self._follower.ready()
        return "" if readiness.ready else readiness.reason

    def behind(self) -> Sequence[Mapping[str, Any]]:
        """The rows of the cluster's report that are behind."""
        found = self._coordinator.report()
        return [row for row in found.plain()["members"] if row["behind"] and row["living"] is not False]

    def _served(self, committed: Committed, notes: Sequence[str]) -> Switched:
        self._follower.wake()
        found = self._coordinator.served(committed.generation, self._patience)
        detail = {
            **committed.model_dump(mode="json", exclude={"generation", "versions"}),
            "notes": list(notes),
            "behind": list(found.behind),
        }
        return Switched(committed.generation, committed.versions, detail)
