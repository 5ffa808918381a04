"""Versions that members keep in memory beside what serves, for whoever asks for one by its number. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from modelhost.metadata import Version

_KEPT_DROPS = 50


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Hold(_Frozen):
    """A version that is to be in every member's memory. `number`: the revision of the state that first named it, so
    that what members say of a hold is never taken for a word about one of the same version before it."""

    number: int = Field(ge=1)
    component: str
    version: Version
    who: str
    at: AwareDatetime


class Drop(_Frozen):
    """A version that members are to let go of once, held or not; None: all of the component that serve nobody."""

    number: int = Field(ge=1)
    component: str
    version: Version | None
    who: str
    at: AwareDatetime


class Held(_Frozen):
    """Part of the desired state. `drops` are the last ones, the oldest first: a member may be late to see one."""

    holds: tuple[Hold, ...] = ()
    drops: tuple[Drop, ...] = ()

    def find(self, component: str, version: str) -> Hold | None:
        """The hold of a version; None where there is none."""
        return next((each for each in self.holds if (each.component, each.version) == (component, version)), None)

    def has(self, number: int) -> bool:
        """Whether this hold still stands."""
        return any(each.number == number for each in self.holds)

    def add(self, hold: Hold) -> Held:
        """With one more."""
        return self.model_copy(update={"holds": (*self.holds, hold)})

    def drop(self, drop: Drop) -> Held:
        """Without what is to be let go of, which members are told."""
        kept = [e for e in self.holds if e.component != drop.component or drop.version not in (None, e.version)]
        return Held(holds=tuple(kept), drops=(*self.drops, drop)[-_KEPT_DROPS:])

    def take_back(self, number: int) -> Held:
        """Without a hold that came to nothing. What a member had in memory before it stays there."""
        return self._but(each for each in self.holds if each.number == number)

    def without(self, versions: Collection[tuple[str, str]]) -> Held:
        """Without versions that serve from here on, or that are rejected: components and versions."""
        return self._but(each for each in self.holds if (each.component, each.version) in versions)

    def _but(self, those: Iterable[Hold]) -> Held:
        gone = {each.number for each in those}
        return self.model_copy(update={"holds": tuple(each for each in self.holds if each.number not in gone)})
