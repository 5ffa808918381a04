"""What the configuration names and the registry does not have, or that has no effect. It is taken over all the same,
because a version may be published later; people are warned, once for each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

from modelhost.config.model import Settings
from modelhost.host.shelf import Shelf

_MOST = 10
_log = logging.getLogger(__name__)


class Absences:
    """Compares the settings that run with what the shelf knows of the registry."""

    def __init__(self, shelf: Shelf, settings: Callable[[], Settings]) -> None:
        self._shelf = shelf
        self._settings = settings
        self._told: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def look(self) -> None:
        """Warns of what was not so at the last look. After a refresh of the shelf."""
        with self._lock:
            found = self._found()
            for what, sentence in found.items():
                if what not in self._told:
                    _log.warning("%s", sentence)
            self._told = frozenset(found)

    def warnings(self) -> tuple[str, ...]:
        """One sentence for each: key, version, and what there is. Of a component of which nothing is known, none."""
        return tuple(self._found().values())

    def _found(self) -> dict[str, str]:
        """What is the matter, whatever else there is by now → the sentence that says it."""
        settings = self._settings()
        found = {
            f"{key} {version} {why}": f"{key} names {component} {version}, which {why}{there}"
            for key, component, version, why, there in self._absent()
        }
        for name, members in settings.sets.items():
            for member in members[1:]:
                if settings.components[member].routable:
                    found[f"components.{member}.routable"] = (
                        f"components.{member}.routable has no effect on requests to the set {name}: a version of that "
                        f"is one of {members[0]}; it counts only where {member} itself is asked"
                    )
        return found

    def _absent(self) -> Iterator[tuple[str, str, str, str, str]]:
        for key, component, version in named(self._settings()):
            there, rejected = [each.version for each in self._shelf.entries(component)], self._shelf.rejected(component)
            if version in rejected:
                yield key, component, version, "is rejected", ""
            elif (there or rejected) and version not in there:
                listed = ", ".join(there[:_MOST]) + (f" and {len(there) - _MOST} more" if len(there) > _MOST else "")
                yield key, component, version, "is not in the registry", f"; there is {listed or 'none'}"


def named(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Key, component and version, wherever a version is named that a start does without. A version of a set is one of
    its first component."""
    for name, section in settings.routing.items():
        lead = settings.sets[name][0] if name in settings.sets else name
        wanted = {f"rules[{index}]": rule.version for index, rule in enumerate(section.rules)}
        wanted |= {f"api.{number}": major.version for number, major in section.api.items()}
        if section.weights is not None:
            wanted |= {f"weights.variants.{label}": one.version for label, one in section.weights.variants.items()}
        yield from ((f"routing.{name}.{key}.version", lead, each) for key, each in wanted.items() if each is not None)
    for name, component in settings.components.items():
        for index, version in enumerate(component.routable):
            yield f"components.{name}.routable[{index}]", name, version
        for version in component.versions:
            yield f"components.{name}.versions.{version}", name, version
