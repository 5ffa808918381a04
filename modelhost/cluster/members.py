"""The members of a cluster: each shows signs of life, and sees by their change who lives. No clocks are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from modelhost.cluster.place import Place

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
    `serves` and `versions`: the set that answers, 0 and none where nothing does; `revision`: the desired state seen."""

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

    def same_as(self, other: Beat) -> bool:
        """Whether it says the same; the count is not part of that."""
        return self.model_copy(update={"count": other.count}) == other


@dataclass(frozen=True, slots=True)
class Sighting:
    """A member as one observer sees it. `silent`: seconds without a change, as far as the observer looked on.

    `confirmed`: seen to change. One that was never seen to is given the benefit of the doubt for a ttl.
    """

    beat: Beat
    living: bool
    confirmed: bool
    silent: float


class Changes:
    """When each of a number of contents was last seen to change, on the observer's clock. Pure: the time is handed in.

    What lies there at the first look may be old: it is `confirmed` only by a later change."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[bytes, float, bool]] = {}

    def look(self, contents: Mapping[str, bytes], now: float) -> dict[str, tuple[float, bool]]:
        """Key → seconds since its last change, and whether it was ever seen to change."""
        seen: dict[str, tuple[bytes, float, bool]] = {}
        for key, content in contents.items():
            before = self._seen.get(key)
            if before is None:
                seen[key] = (content, now, False)
            else:
                seen[key] = before if before[0] == content else (content, now, True)
        self._seen = seen
        return {key: (now - since, confirmed) for key, (_, since, confirmed) in seen.items()}


class Members:
    """The signs of life in a place, as this process sees them. Raises RegistryUnavailable."""

    def __init__(self, place: Place, ttl: float, clock: Callable[[], float]) -> None:
        self._place = place
        self._ttl = ttl
        self._clock = clock
        self._changes = Changes()

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
        for name, (silent, confirmed) in seen.items():
            if silent > self._ttl * _FORGOTTEN_AFTER:
                self._place.remove(f"{_FOLDER}/{name}")
                continue
            try:
                beat = Beat.model_validate_json(contents[name])
            except ValidationError:
                _log.warning("the sign of life %s/%s/%s cannot be read", self._place.url, _FOLDER, name)
                continue
            sightings.append(Sighting(beat, silent < self._ttl, confirmed, silent))
        return sorted(_without_earlier_lives(sightings), key=lambda each: (each.beat.name, each.beat.key))


def _without_earlier_lives(sightings: list[Sighting]) -> list[Sighting]:
    """A member that was started anew has another key: its dead one is of no interest."""
    living = {each.beat.name for each in sightings if each.living}
    return [each for each in sightings if each.living or each.beat.name not in living]
