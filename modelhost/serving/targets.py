"""Where a rollback may go: the sets and versions that served, the latest first. Pure: records in, choices out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import semver

from modelhost.serving.history import Outcome, Record

Usable = Callable[[str, str], bool]
"""Component and version → whether it is stable and was not left for good."""


def left_for_good(records: Iterable[Record]) -> dict[tuple[str, str], datetime]:
    """Component and version → when a rollback rejected it last."""
    left: dict[tuple[str, str], datetime] = {}
    for record in records:
        if record.outcome is Outcome.SWITCHED:
            for component, version in record.rejected.items():
                left[component, version] = record.at
    return left


def earlier_versions(records: Iterable[Record], component: str, current: str, usable: Usable) -> Iterator[str]:
    """Yields versions that served and may serve again, the latest to serve first, never the current one."""
    seen = {current}
    for served in _served(records):
        version = served.get(component)
        if version is not None and version not in seen:
            seen.add(version)
            if usable(component, version):
                yield version


def earlier_sets(
    records: Iterable[Record], current: Mapping[str, str], usable: Usable, moving: str | None = None
) -> Iterator[dict[str, str]]:
    """Yields whole sets that served, the latest first: component → version, of the components that serve now.

    Every version that differs from the current one is usable. `moving`: the component that must be among those.
    """
    seen = [dict(current)]
    for served in _served(records):
        target = {name: served.get(name, version) for name, version in current.items()}
        if target in seen:
            continue
        seen.append(target)
        changed = {name: version for name, version in target.items() if version != current[name]}
        if (moving is None or moving in changed) and all(usable(*each) for each in changed.items()):
            yield target


def older(versions: Iterable[str], current: str) -> list[str]:
    """Those of lower precedence than `current`, the newest first."""
    limit = semver.Version.parse(current)
    found = [number for number in map(semver.Version.parse, versions) if number < limit]
    return [str(number) for number in sorted(found, reverse=True)]


def _served(records: Iterable[Record]) -> Iterator[dict[str, str]]:
    """Component → version of each set that served, without what a fallback served."""
    for record in reversed(list(records)):
        if record.outcome is Outcome.SWITCHED:
            yield {name: version for name, version in record.after.items() if name not in record.fallbacks}
