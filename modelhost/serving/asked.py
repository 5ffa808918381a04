"""What is asked of a rollback, and what follows from that, in a host alone as in a cluster: the first destination that
fits, fallbacks where there is none, and what is left for good."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from modelhost.errors import InvalidRequest, LoadFailed, MateMismatch, NothingStable, Refused, Unknown
from modelhost.serving.fallback import FALLBACK_VERSION

_UNFIT = (Refused, LoadFailed, Unknown)  # reasons to go further back; "not now" is none
_NOTHING_LEFT = "publish and promote a version, or restore one that was left by mistake"

Fitted = TypeVar("Fitted")


@dataclass(frozen=True, slots=True)
class Words:
    """How a set that was there before, and the one that is, are spoken of: `past` was, `these` were, `now` it is."""

    past: str
    these: str
    now: str


SERVED = Words("served", "these did", "serves")
COMMITTED = Words("was committed", "these were", "is wanted")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to go back, and where to. `component` None: the whole set. `to_version` of the component, or
    `to_generation` of the set: what served before and is stable where neither is named. `together`: mates may go back
    with it."""

    component: str | None = None
    to_version: str | None = None
    to_generation: int | None = None
    together: bool = False

    @property
    def named(self) -> bool:
        """Whether the target was named, so that none further back will do."""
        return self.to_version is not None or self.to_generation is not None


def demand_sense(asked: Asked, serving: Collection[str]) -> None:
    """Raises Unknown, InvalidRequest for what no rollback of the components that serve can mean."""
    if asked.component is not None and asked.component not in serving:
        raise Unknown(f"no component {asked.component!r} serves", f"these do: {', '.join(serving)}")
    if asked.component is None and asked.to_version is not None:
        raise InvalidRequest("a version belongs to a component", "name the component, or a generation of the set")
    if asked.component is not None and asked.to_generation is not None:
        raise InvalidRequest("a generation belongs to the whole set", "name no component")


def first_fitting(
    asked: Asked,
    targets: Callable[[Asked], Iterator[dict[str, str]]],
    fit: Callable[[dict[str, str]], Fitted],
    current: Mapping[str, str],
    words: Words = SERVED,
) -> tuple[Fitted | None, list[str]]:
    """What `fit` makes of the first of the `targets` that it does not refuse, and what was passed over on the way; None
    where nothing is left but fallbacks. Sets are component → version; `current` is what is to be left.

    Raises what refuses a target that was named; MateMismatch for a component whose mates would have to go back with it
    (the hint says which set that would be); NothingStable where no set fits the version that was named.
    """
    passed_over: list[str] = []
    for target in targets(asked):
        try:
            return fit(target), passed_over
        except MateMismatch as error:
            if asked.component is not None and not asked.together:
                raise MateMismatch(error.message, _way_out(targets(replace(asked, together=True)), current)) from error
            if asked.named and asked.component is None:
                raise
            passed_over.append(error.message)
        except _UNFIT as error:
            if asked.named:
                raise
            passed_over.append(error.message)
    if asked.named:
        raise NothingStable(f"no set that {words.past} fits {asked.component} {asked.to_version}", _listed(passed_over))
    return None, passed_over


def stand_ins(
    asked: Asked, current: Mapping[str, str], declared: Collection[str], passed_over: list[str], words: Words = SERVED
) -> list[str]:
    """Components that a fallback is to serve, of those for which one is `declared`. Raises NothingStable where that
    would change nothing."""
    names = [asked.component] if asked.component is not None else list(current)
    chosen = [name for name in names if name in declared]
    if all(current[name] == FALLBACK_VERSION for name in chosen):
        why = "its fallback serves already" if chosen else "no fallback is declared"
        raise NothingStable(
            f"{asked.component or 'the set'}: no version that {words.past} is left and stable, and {why}",
            _listed(passed_over) or _NOTHING_LEFT,
        )
    return chosen


def left_by(asked: Asked, before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """What is left for good: component → version. Of a component alone, where its mates move `together` with it."""
    return {
        name: version
        for name, version in before.items()
        if after[name] != version and version != FALLBACK_VERSION and asked.component in (None, name)
    }


def _way_out(targets: Iterator[dict[str, str]], current: Mapping[str, str]) -> str:
    """What `together` would do, for the person who has to decide."""
    for target in targets:
        moved = [f"{name} {current[name]} → {version}" for name, version in target.items() if version != current[name]]
        if len(moved) > 1:
            return f"with together=True these go back as one: {', '.join(moved)}"
    return "no set that served fits; promote versions that fit together"


def _listed(passed_over: list[str]) -> str:
    return f"passed over: {'; '.join(passed_over)}" if passed_over else ""
