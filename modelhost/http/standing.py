"""Where a service stands, as JSON: what serves, what is in memory, what loads and leaves, and what went wrong."""

from __future__ import annotations

from typing import Any

from modelhost.cluster.lookout import Seen
from modelhost.errors import ModelHostError
from modelhost.host.host import ModelHost
from modelhost.http.control import Control
from modelhost.http.siblings import Siblings
from modelhost.loading.memory import CPU
from modelhost.loading.residency import Residency
from modelhost.registry.base import Entry, Status
from modelhost.registry.looking import Looking


def standing(host: ModelHost, control: Control, siblings: Siblings) -> dict[str, Any]:
    """A moment's picture; nothing in it is a secret, though it is for viewers only."""
    live = host.serving.live.serving()
    return {
        "ready": not (why := control.why_not_ready()),
        "why_not_ready": why,
        "generation": host.serving.live.generation,
        "digest": live.digest if live else None,
        "serving": {
            name: {
                "version": each.version,
                "status": None if each.fallback else str(_status(host, each.entry)),
                "shape": each.entry.info.interface.shape,
                "fallback": each.fallback,
            }
            for name, each in (live or {}).items()
        },
        "sets": {name: list(members) for name, members in host.settings.sets.items()},
        "memory": {"limit": host.pool.budget.limit(CPU), "used": host.pool.budget.used(CPU)},
        "resident": [_resident(each) for each in host.pool.residents()],
        "loading": [{"component": name, "version": version} for name, version in host.pool.loading()],
        "leaving": [{"generation": each.generation, **each.versions} for each in host.serving.live.leaving()],
        "configuration": {
            "generation": host.configuration.generation,
            "last_error": host.configuration.last_error,
            "warnings": list(host.absences.warnings()),
        },
        "processes": siblings.plain(),
        **_members(control.seen(now=True)),
    }


def _members(seen: Seen | None) -> dict[str, Any]:
    """The cluster's report, and of its members those that do not serve the committed generation; None of a host alone.

    Out of the registry's reach it is the last that there was, and `away` says why.
    """
    if seen is None:
        return {"cluster": None, "behind": []}
    report = seen.report.plain() if seen.report else {}
    late = [row for row in report.get("members", ()) if row["behind"] and row["living"] is not False]
    return {"cluster": {**report, "away": seen.away}, "behind": late}


def _status(host: ModelHost, entry: Entry) -> Status:
    """As the registry says now; as it said when the version was loaded, where it cannot be asked."""
    try:
        return Looking(host.registry).find(entry.component, entry.version).status
    except ModelHostError:
        return entry.status


def _resident(each: Residency) -> dict[str, Any]:
    return {
        "component": each.component,
        "version": each.version,
        "bytes": each.bytes,
        "device": each.placement.device,
        "requests": each.leases - len(each.holders),
        "holders": list(each.holders),
        "pinned": each.pinned,
        "idle_seconds": round(each.idle_seconds, 3),
        "load_seconds": round(each.timing.load, 4),
        "warm_up_seconds": round(each.timing.warm_up, 4),
    }
