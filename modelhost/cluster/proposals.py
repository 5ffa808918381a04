"""Whether somebody still stands behind a proposal: its coordinator shows signs of life too, or it is abandoned."""

from __future__ import annotations

from collections.abc import Callable

from modelhost.cluster.desired import Desired, Proposal
from modelhost.cluster.members import Changes
from modelhost.cluster.place import Place

_FOLDER = "coordinators"


class Proposals:
    """Signs of life of coordinators, shown and seen. Raises RegistryUnavailable."""

    def __init__(self, place: Place, ttl: float, clock: Callable[[], float]) -> None:
        self._place = place
        self._ttl = ttl
        self._clock = clock
        self._changes = Changes(ttl)
        self._count = 0

    def stand_behind(self, generation: int) -> None:
        """Show that the coordinator of this generation lives."""
        self._count += 1
        self._place.put(_key(generation), str(self._count).encode())

    def done(self, generation: int) -> None:
        """It was committed or aborted, as all before it: what a killed coordinator left of those goes too."""
        for name in self._place.names(_FOLDER):
            if (key := f"{_FOLDER}/{name}") <= _key(generation):
                self._place.remove(key)

    def is_abandoned(self, proposal: Proposal | None) -> bool | None:
        """Whether its coordinator has shown no life for a ttl, as far as this process looked on; None: not known."""
        if proposal is None:
            self._changes.look({}, self._clock())
            return False
        key = _key(proposal.generation)
        content = self._place.read(key) or b""
        change = self._changes.look({key: content}, self._clock())[key]
        if change.silent >= self._ttl:
            return True
        return False if change.confirmed else None


def why_abandoned(desired: Desired, ttl: float) -> str:
    """The reason that an abort gives."""
    assert desired.proposal is not None
    return f"its coordinator, started by {desired.proposal.who}, has shown no life for {ttl:g} s"


def _key(generation: int) -> str:
    return f"{_FOLDER}/{generation:012d}.json"
