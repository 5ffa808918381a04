"""What the registry is told after a switch: promoted versions are stable, those that a rollback left are rejected.

The switch has happened by then: what cannot be marked, as in a registry out of reach, undoes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from modelhost.errors import ModelHostError
from modelhost.registry.base import Registry, Status
from modelhost.registry.looking import Looking

_log = logging.getLogger(__name__)


def mark_rejected(registry: Registry, left: Mapping[str, str], who: str, why: str) -> list[str]:
    """Marks what was left (component → version), so that no rollback comes back to it. Returns what could not be
    marked, in words."""
    return _problems(
        left,
        lambda name, version: registry.mark(name, version, Status.REJECTED, who, why),
        "could not be marked as rejected",
    )


def mark_stable(registry: Registry, promoted: Mapping[str, str], who: str, why: str) -> list[str]:
    """Marks what was promoted (component → version) where it is unstable, so that a rollback may come back to it.
    Returns what could not be marked, in words."""
    return _problems(
        promoted,
        lambda name, version: accept(registry, name, version, who, why),
        "serves, and could not be marked stable",
    )


def accept(registry: Registry, component: str, version: str, who: str, why: str) -> None:
    """Marks a version as stable that is unstable. Where a rollback left it meanwhile, the rejection holds, also one
    that came in the moment before the mark. Raises what a registry raises."""
    if Looking(registry).find(component, version).status is not Status.UNSTABLE:
        return
    registry.mark(component, version, Status.STABLE, who, why)
    said = [change for change in registry.log(component) if change.version == version][-2:]
    if [change.status for change in said] == [Status.REJECTED, Status.STABLE]:
        registry.mark(component, version, Status.REJECTED, said[0].who, said[0].why)


def _problems(versions: Mapping[str, str], mark: Callable[[str, str], object], problem: str) -> list[str]:
    problems = []
    for name, version in versions.items():
        try:
            mark(name, version)
        except ModelHostError as error:
            problems.append(f"{name} {version} {problem}: {error.message}")
            _log.error("%s", problems[-1], exc_info=True)
    return problems
