"""What a reload replaces as a whole: adapters and routers, made of one configuration and flipped by one reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelhost.config import build
from modelhost.config.model import Settings
from modelhost.errors import Unknown
from modelhost.routing.adapters import Adapters
from modelhost.routing.router import Router


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about: a component or a set. A set is named by the versions of its first component, `lead`;
    `mates` are the components that flip with it."""

    name: str
    lead: str
    mates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wiring:
    """Routers and adapters of one configuration."""

    settings: Settings
    adapters: Adapters
    routers: Mapping[str, Router]

    @classmethod
    def of(cls, settings: Settings, chance: Callable[[], float]) -> Wiring:
        """Compiles the rules and runs every adapter's examples. Raises ConfigError."""
        proven = build.adapters(settings)
        return cls(settings, proven, build.routers(settings, proven, chance))

    def subject(self, about: str | None) -> Subject | None:
        """The component or set of this name; without one, the only set, routing section or component there is.

        None where a service has several and none was named: what serves by default answers. Raises Unknown.
        """
        settings = self.settings
        if about is None:
            names = [*settings.sets] or [*settings.routing] or [*settings.components]
            if len(names) != 1:
                return None
            about = names[0]
        if about in settings.sets:
            members = settings.sets[about]
            return Subject(about, members[0], members[1:])
        if about not in settings.components:
            raise Unknown(f"no component {about!r}", f"there is {', '.join([*settings.components, *settings.sets])}")
        owner = next((members for members in settings.sets.values() if about in members), (about,))
        return Subject(about, about, tuple(each for each in owner if each != about))

    def named(self) -> dict[str, set[str]]:
        """Component → versions that rules, weights and API majors send requests to, which should be in memory."""
        found: dict[str, set[str]] = {}
        for name, section in self.settings.routing.items():
            subject = self.subject(name)
            assert subject is not None  # it was named
            wanted = [rule.version for rule in section.rules] + [major.version for major in section.api.values()]
            if section.weights is not None:
                wanted += [one.version for one in section.weights.variants.values() if one.share]
            found.setdefault(subject.lead, set()).update(version for version in wanted if version is not None)
        return found
