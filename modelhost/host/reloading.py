"""What a reload of the configuration changes in a running host, and what it refuses because only a start can do it.

A component's `default` that names another version than before is a swap: loaded and checked before anything is taken
over, flipped with the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from modelhost.config.model import Settings
from modelhost.config.reload import Prepared
from modelhost.errors import ConfigError
from modelhost.loading.lease import Lease
from modelhost.registry.base import LATEST
from modelhost.serving.serving import Serving

WHO = "configuration"


def refuse_what_needs_a_start(new: Settings, old: Settings) -> Prepared:
    """Raises ConfigError where the registry, the budget or its workers, the cluster, the components or their fallbacks
    differ."""
    found = [name for name in ("registry", "cluster") if getattr(new, name) != getattr(old, name)]
    found += [f"memory.{key}" for key in ("budget", "workers") if getattr(new.memory, key) != getattr(old.memory, key)]
    if new.components.keys() != old.components.keys():
        found.append("the names of the components")
    elif any(new.components[name].fallback != old.components[name].fallback for name in new.components):
        found.append("a fallback")
    if found:
        raise ConfigError(f"{', '.join(found)} changed", "restart the service for that")
    return Nothing()


class Nothing:
    """A change that is none."""

    def commit(self) -> None:
        """Nothing."""

    def abort(self) -> None:
        """Nothing."""


@dataclass(slots=True)
class Flip:
    """A change of references: `make` has what may fail behind it, `set_back` is for when somebody else fails."""

    make: Callable[[], None]
    set_back: Callable[[], None]
    made: bool = False

    def commit(self) -> None:
        """Flip."""
        self.made = True
        self.make()

    def abort(self) -> None:
        """Back to what was before."""
        if self.made:
            self.set_back()


@dataclass(slots=True)
class Defaults:
    """Swaps the components whose `default` became another version; the versions are in memory before the flip."""

    serving: Serving
    changes: dict[str, str]
    leases: list[Lease] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    generation: int = 0

    def prepare(self) -> Defaults:
        """Loads them. Raises what a load raises."""
        try:
            for name, version in self.changes.items():
                entry = self.serving.registry.find(name, version)
                self.leases.append(self.serving.pool.lease(name, entry.version))
        except BaseException:
            self._release()
            raise
        return self

    def commit(self) -> None:
        """Flips them as one set."""
        if self.changes:
            switched = self.serving.swap(self.changes, who=WHO, why="the configuration names another default")
            self.before = {name: switched.before[name] for name in self.changes}
            self.generation = switched.generation
        self._release()

    def abort(self) -> None:
        """Lets what was before serve again, where nobody has switched to anything else since."""
        self._release()
        if self.before:
            why = "the configuration was not taken over"
            self.serving.swap(self.before, who=WHO, why=why, expected_generation=self.generation)

    def _release(self) -> None:
        while self.leases:
            self.leases.pop().release()


def new_defaults(new: Settings, old: Settings) -> dict[str, str]:
    """Component → version, where the configuration names another one than before; `latest` moves nothing."""
    return {
        name: one.default
        for name, one in new.components.items()
        if one.default != LATEST and name in old.components and one.default != old.components[name].default
    }
