"""Who serves which generation, who is behind, and what is under way. Pure: a state and sightings in, a report out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelhost.cluster.desired import Desired
from modelhost.cluster.held import Hold
from modelhost.cluster.members import Sighting, by_name
from modelhost.serving.sets import spoken


@dataclass(frozen=True, slots=True)
class Row:
    """A member. `living` None: not known yet, it was seen once only. `serves`: the generation that answers, 0 for none;
    `behind`: that is not the committed one. `state` is about `generation`; `silent` in seconds."""

    member: str
    living: bool | None
    ready: bool
    serves: int
    versions: Mapping[str, str]
    behind: bool
    state: str
    generation: int
    reason: str
    silent: float


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that is held. `lacking`: members that live, or may, and do not have it in memory → why it cannot be
    loaded, or nothing where it is on its way."""

    component: str
    version: str
    who: str
    lacking: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """The cluster as one observer sees it. `generation` 0: nothing was ever committed. `proposal`, `aborted`: what is
    under way, and what came to nothing last, in words; `aborts`: how many switches ever did; `held`: what is in memory
    beside what serves, for whoever asks for it by its number."""

    generation: int
    versions: Mapping[str, str]
    who: str
    why: str
    members: tuple[Row, ...]
    proposal: str = ""
    aborted: str = ""
    aborts: int = 0
    held: tuple[Kept, ...] = ()

    @property
    def behind(self) -> tuple[str, ...]:
        """Members that live, or may, and do not serve the committed generation."""
        return tuple(row.member for row in self.members if row.behind and row.living is not False)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "behind": list(self.behind)}


def report(desired: Desired, sightings: Iterable[Sighting]) -> Report:
    """Puts together what was read and seen."""
    goal = desired.committed
    generation = goal.generation if goal else 0
    seen = list(sightings)
    return Report(
        generation=generation,
        versions=dict(goal.versions) if goal else {},
        who=goal.who if goal else "",
        why=goal.why if goal else "",
        members=tuple(_row(each, generation) for each in seen),
        proposal=_proposal(desired),
        aborted=_aborted(desired),
        aborts=desired.aborts,
        held=tuple(_kept(each, by_name(seen)) for each in desired.held.holds),
    )


def _row(sighting: Sighting, generation: int) -> Row:
    beat = sighting.beat
    return Row(
        member=beat.name,
        living=(True if sighting.confirmed else None) if sighting.living else False,
        ready=beat.ready and sighting.living,
        serves=beat.serves,
        versions=dict(beat.versions),
        behind=generation > 0 and beat.serves != generation,
        state=beat.state.value,
        generation=beat.generation,
        reason=beat.reason,
        silent=round(sighting.silent, 3),
    )


def _kept(hold: Hold, members: Mapping[str, Sighting]) -> Kept:
    said = {name: each.beat.holds.get(hold.number) for name, each in members.items() if each.living}
    lacking = {name: why or "" for name, why in said.items() if why != ""}
    return Kept(hold.component, hold.version, hold.who, lacking)


def _proposal(desired: Desired) -> str:
    one = desired.proposal
    return "" if one is None else f"generation {one.generation}: {spoken(one.versions)} ({one.who}: {one.why})"


def _aborted(desired: Desired) -> str:
    one = desired.aborted
    return "" if one is None else f"generation {one.generation}: {spoken(one.versions)} ({one.by}: {one.reason})"
