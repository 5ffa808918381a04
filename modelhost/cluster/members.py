"""The members of a cluster: each shows signs of life, and sees by their change who lives. No clocks are compared."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from modelhost.cluster.place import Place
from modelhost.cluster.whereabouts import Whereabouts, has_ended

_log = logging.getLogger(__name__)
_FOLDER = "members"
_FORGOTTEN_AFTER = 60  # times the ttl: so long the report names one that is gone


class State(StrEnum):
    """How a member stands to the generation that it names."""

    WAITING = "waiting"  # nothing was asked of it yet
    LOADING = "loading"
    LOADED = "loaded"  # in memory beside the live set, serving nobody
    SERVING = "serving"
    UNABLE = "unable"  # `reason` says why


class Beat(BaseModel):
    """A sign of life. `key`: one for each start of a process; `name`: for people. `generation`: what `state` is about;
    `serves` and `versions`: the set that answers, 0 and none where nothing does; `revision`: the desired state seen;
    `holds`: number of a hold → why it cannot be loaded, nothing where it is in memory; none that is on its way;
    `memory`: component → versions in memory; `process`: where it runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str
    name: str
    count: int = 0
    state: State = State.WAITING
    generation: int = 0
    reason: str = ""
    serves: int = 0
    versions: dict[str, str] = {}
    ready: bool = False
    revision: int = 0
    holds: dict[int, str] = {}
    memory: dict[str, list[str]] = {}
    process: Whereabouts | None = None

    def same_as(self, other: Beat) -> bool:
        """Whether it says the same; the count is not part of that."""
        return self.model_copy(update={"count": other.count}) == other


@dataclass(frozen=True, slots=True)
class Sighting:
    """A member as one observer sees it. `silent`: seconds without a change, as far as the observer looked on.

    `confirmed`: seen to change. One that was not is given the benefit of the doubt for a ttl, unless its process is
    known to have ended.
    """

    beat: Beat
    living: bool
    confirmed: bool
    silent: float


@dataclass(frozen=True, slots=True)
class Change:
    """A content as one observer sees it. `silent`: seconds without a change, while the observer looked on; `unchanged`:
    with the spans in which it did not; `confirmed`: seen to change, and not out of sight since."""

    silent: float
    unchanged: float
    confirmed: bool


class Changes:
    """When each of a number of contents was last seen to change, on the observer's clock. Pure: the time is handed in.

    A span of more than half a ttl between two looks tells nothing: the registry may have been away for all. Whoever
    lived before it gets a whole ttl to show that it still does.
    """

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._looked = float("-inf")
        self._seen: dict[str, tuple[bytes, float, float, bool]] = {}

    def look(self, contents: Mapping[str, bytes], now: float) -> dict[str, Change]:
        """Key → what is to be said of its content now."""
        blind = now - self._looked > self._ttl / 2
        seen: dict[str, tuple[bytes, float, float, bool]] = {}
        for key, content in contents.items():
            before, since, first, confirmed = self._seen.get(key, (b"", now, now, False))
            if key in self._seen and before != content:
                since, first, confirmed = now, now, True
            elif blind and self._looked - since < self._ttl:
                since, confirmed = now, False
            seen[key] = (content, since, first, confirmed)
        self._seen, self._looked = seen, now
        return {key: Change(now - since, now - first, sure) for key, (_, since, first, sure) in seen.items()}


class Members:
    """The signs of life in a place, as this process sees them. Raises RegistryUnavailable."""

    def __init__(self, place: Place, ttl: float, clock: Callable[[], float]) -> None:
        self._place = place
        self._ttl = ttl
        self._clock = clock
        self._changes = Changes(ttl)

    def beat(self, beat: Beat) -> None:
        """Show a sign of life of one's own."""
        self._place.put(f"{_FOLDER}/{beat.key}.json", beat.model_dump_json().encode())

    def leave(self, key: str) -> None:
        """Be a member no longer."""
        self._place.remove(f"{_FOLDER}/{key}.json")

    def observe(self) -> list[Sighting]:
        """All members, sorted by name; whoever was silent for long is forgotten."""
        contents: dict[str, bytes] = {}
        for name in self._place.names(_FOLDER):
            content = self._place.read(f"{_FOLDER}/{name}")
            if content is not None:
                contents[name] = content
        seen = self._changes.look(contents, self._clock())
        sightings = []
        for name, change in seen.items():
            living = change.silent < self._ttl
            if not living and change.unchanged > self._ttl * _FORGOTTEN_AFTER:
                self._place.remove(f"{_FOLDER}/{name}")
                continue
            try:
                beat = Beat.model_validate_json(contents[name])
            except ValidationError:
                _log.warning("the sign of life %s/%s/%s cannot be read", self._place.url, _FOLDER, name)
                continue
            living = living and not has_ended(beat.process)
            sightings.append(Sighting(beat, living, change.confirmed, change.silent))
        return sorted(_without_earlier_lives(sightings), key=lambda each: (each.beat.name, each.beat.key))


def by_name(sightings: Iterable[Sighting]) -> dict[str, Sighting]:
    """What people call each of them; those of one name go by their keys."""
    seen = list(sightings)
    names = Counter(each.beat.name for each in seen)
    return {each.beat.name if names[each.beat.name] == 1 else each.beat.key: each for each in seen}


def _without_earlier_lives(sightings: list[Sighting]) -> list[Sighting]:
    """A member that was started anew has another key: its dead one is of no interest."""
    living = {each.beat.name for each in sightings if each.living}
    return [each for each in sightings if each.living or each.beat.name not in living]
