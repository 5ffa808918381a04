"""What can be chosen from at this moment: the versions of one component or set, handed in by the room that serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import semver

from modelhost.metadata import canonical_version


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that may answer. `shape`: what it answers with; `resident`: it is in memory; `routable`: the

    configuration lets the public name it, though it would have to be loaded first. A rejected version is no offer.
    """

    version: str
    shape: str
    resident: bool = False
    routable: bool = False

    @property
    def public(self) -> bool:
        """True where anybody may ask for it by name."""
        return self.resident or self.routable


@dataclass(frozen=True, slots=True)
class Offers:
    """All versions of a component that could answer; `default` is the one that serves, None where nothing does."""

    component: str
    default: str | None
    versions: Mapping[str, Offer]

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", MappingProxyType(dict(self.versions)))
        if self.default is not None and self.default not in self.versions:
            raise ValueError(f"the default version {self.default} of {self.component} is not among its versions")

    def named(self, text: str) -> Offer | None:
        """The offer that a person means by `1.2.0` or `v1.2.0`."""
        try:
            return self.versions.get(canonical_version(text))
        except ValueError:
            return self.versions.get(text)

    def newest(self) -> list[Offer]:
        """All that the public may name, the newest first; what is no SemVer (a fallback) comes last."""
        return sorted((offer for offer in self.versions.values() if offer.public), key=_order, reverse=True)


def _order(offer: Offer) -> tuple[bool, semver.Version, str]:
    try:
        return True, semver.Version.parse(offer.version), offer.version
    except ValueError:
        return False, semver.Version(0), offer.version
