"""What a registry elsewhere has: its components and versions, and what each says of itself.

A published version never changes, so what was read of one is remembered, until somebody has reason to ask anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import semver

from modelhost.errors import IntegrityError, NothingStable, Unknown
from modelhost.metadata import VersionInfo, canonical_version
from modelhost.registry.base import Status
from modelhost.registry.layout import VERSION_FILE, component_directory, parse
from modelhost.registry.origin import Origin


@dataclass(frozen=True, slots=True)
class Described:
    """What an origin says of a version, and the bytes in which it says so."""

    info: VersionInfo
    text: bytes


class Catalogue:
    """Asks an origin. All raise RegistryUnavailable."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._read: dict[tuple[str, str], Described] = {}

    def components(self) -> list[str]:
        """Names of all components that have a version, sorted."""
        return sorted(name for name in self._origin.components() if self._numbers(name))

    def numbers(self, component: str) -> list[str]:
        """Numbers of a component's versions, readable or not, in no order. Raises Unknown where there is none."""
        component_directory(Path(), component)  # raises for what is no name
        if names := self._numbers(component):
            return names
        raise Unknown(f"no component {component!r} at {self._origin.url}", f"there is {', '.join(self.components())}")

    def number(self, component: str, version: str) -> str:
        """The canonical number of a version that there is. Raises Unknown."""
        names = self.numbers(component)
        try:
            name = canonical_version(version)
        except (ValueError, TypeError):
            raise self.unknown(component, repr(version)) from None
        if name not in names:
            raise self.unknown(component, name)
        return name

    def newest_stable(self, component: str, standing: Mapping[str, Status]) -> str:
        """What `latest` means. Raises NothingStable, and IntegrityError where that one cannot be read: it takes no
        other."""
        stable = [name for name in self.numbers(component) if standing.get(name) is Status.STABLE]
        if not stable:
            raise NothingStable(f"no version of {component} is stable", "mark one stable, or ask for one by number")
        newest = max(map(semver.Version.parse, stable))
        found = [self.look(component, name) for name in stable if semver.Version.parse(name) == newest]
        return max((each.info for each in found if each is not None), key=lambda info: info.order).version

    def look(self, component: str, version: str) -> Described | None:
        """What is said of a version, None where there is none. Raises IntegrityError."""
        held = self._read.get((component, version))
        if held is None:
            text = self._origin.describe(component, version)
            if text is None:
                return None
            where = f"{self._origin.url}/{component}/{version}/{VERSION_FILE}"
            held = self._read[component, version] = Described(parse(text, where, component, version), text)
        return held

    def get(self, component: str, version: str) -> Described:
        """What is said of a version that there is. Raises Unknown, IntegrityError."""
        found = self.look(component, version)
        if found is None:
            raise self.unknown(component, version)
        return found

    def renew(self, component: str, version: str) -> Described:
        """`get`, past what is remembered: a collector may have withdrawn it since it was looked at."""
        self.forget(component, version)
        return self.get(component, version)

    def forget(self, component: str, version: str) -> None:
        """Remember no more what was said of a version."""
        self._read.pop((component, version), None)

    def remembered(self, component: str) -> list[VersionInfo]:
        """The versions of a component that were looked at."""
        return [each.info for each in list(self._read.values()) if each.info.component == component]

    def unknown(self, component: str, version: str) -> Unknown:
        """The error for a version that there is not."""
        return Unknown(f"no version {version} of {component}", f"there is {', '.join(self._numbers(component))}")

    def _numbers(self, component: str) -> list[str]:
        return [name for name in self._origin.published(component) if self._is_one(component, name)]

    def _is_one(self, component: str, version: str) -> bool:
        try:
            return self.look(component, version) is not None
        except IntegrityError:
            return True
