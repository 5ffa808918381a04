"""What a cluster is to serve: one state after the other, each a file of its own that only one writer can make.

`desired/<revision>.json` holds a state as a whole: the committed set, the sets before it, the set that is proposed, if
any, and what is held in memory beside them. Whoever changes it read revision r and creates r + 1; who comes second is
told so and reads again. A generation is the number of a set; the number of a proposal that came to nothing is not used
again. The transitions are pure.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from modelhost.cluster.held import Drop, Held, Hold
from modelhost.cluster.place import Place
from modelhost.errors import Conflict, IntegrityError, ModelHostError, RegistryUnavailable
from modelhost.metadata import Version

_log = logging.getLogger(__name__)
_FOLDER = "desired"
_KEPT_REVISIONS = 200
_KEPT_SETS = 50


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Committed(_Frozen):
    """A set that is to serve, component → version. `rejected`: what a rollback to this set left for good."""

    generation: int = Field(ge=1)
    versions: dict[str, Version] = Field(min_length=1)
    kind: Literal["promote", "rollback"]
    who: str
    why: str
    at: AwareDatetime
    rejected: dict[str, Version] = {}


class Proposal(_Frozen):
    """A set that all members load, and none serves. `patience`: seconds that its coordinator gives them."""

    generation: int = Field(ge=1)
    versions: dict[str, Version] = Field(min_length=1)
    who: str
    why: str
    at: AwareDatetime
    patience: float


class Aborted(_Frozen):
    """The last proposal that came to nothing: by whom, and why."""

    generation: int
    versions: dict[str, Version]
    who: str
    by: str
    reason: str
    at: AwareDatetime


class Desired(_Frozen):
    """A state. `numbered`: the highest generation ever given out; `previous`: committed sets, the oldest first;

    `aborts`: how many proposals ever came to nothing; `held`: what is in memory beside what serves.
    """

    format: int = Field(default=1, ge=1, le=1)
    revision: int = Field(default=0, ge=0)
    numbered: int = Field(default=0, ge=0)
    committed: Committed | None = None
    proposal: Proposal | None = None
    previous: tuple[Committed, ...] = ()
    aborted: Aborted | None = None
    aborts: int = Field(default=0, ge=0)
    held: Held = Held()

    def propose(
        self, versions: Mapping[str, str], who: str, why: str, at: datetime, patience: float, above: int = 0
    ) -> Desired:
        """All are to load `versions`; the generation is `above` what any serves. Raises Conflict where another is
        proposed already."""
        if self.proposal is not None:
            raise self.is_busy()
        number = max(self.numbered, above) + 1
        proposal = Proposal(generation=number, versions=dict(versions), who=who, why=why, at=at, patience=patience)
        return self._next(numbered=number, proposal=proposal)

    def is_busy(self) -> Conflict:
        """The error that says whose proposal is open."""
        assert self.proposal is not None
        return Conflict(
            f"{self.proposal.who} switches to generation {self.proposal.generation} at this moment",
            "wait until it has ended, or roll back, which overtakes it",
        )

    def found(self, versions: Mapping[str, str], who: str, why: str, at: datetime, above: int = 0) -> Desired:
        """All are to begin with `versions`, where nothing was committed before; the generation is `above` what served
        the first of them when it was alone."""
        assert self.committed is None and self.proposal is None
        number = max(self.numbered, above) + 1
        first = Committed(generation=number, versions=dict(versions), kind="promote", who=who, why=why, at=at)
        return self._next(numbered=number, committed=first, held=self.held.without(versions.items()))

    def commit(self, at: datetime) -> Desired:
        """All are to serve the proposed set."""
        assert self.proposal is not None
        one = self.proposal
        committed = Committed(
            generation=one.generation, versions=one.versions, kind="promote", who=one.who, why=one.why, at=at
        )
        held = self.held.without(one.versions.items())
        return self._next(proposal=None, committed=committed, previous=self._before(), held=held)

    def abort(self, by: str, reason: str, at: datetime) -> Desired:
        """The proposed set is let go; what serves stays."""
        assert self.proposal is not None
        return self._next(proposal=None, aborted=_aborted(self.proposal, by, reason, at), aborts=self.aborts + 1)

    def go_back(
        self, versions: Mapping[str, str], rejected: Mapping[str, str], who: str, why: str, at: datetime
    ) -> Desired:
        """All are to serve `versions` at once, whatever is proposed."""
        number = self.numbered + 1
        committed = Committed(
            generation=number,
            versions=dict(versions),
            kind="rollback",
            who=who,
            why=why,
            at=at,
            rejected=dict(rejected),
        )
        before = self if self.proposal is None else self.abort(who, f"overtaken by a rollback: {why}", at)
        return self._next(
            numbered=number,
            proposal=None,
            aborted=before.aborted,
            aborts=before.aborts,
            committed=committed,
            previous=self._before(),
            held=self.held.without({*versions.items(), *rejected.items()}),
        )

    def hold(self, component: str, version: str, who: str, at: datetime) -> Desired:
        """All are to keep a version in memory, for whoever asks for it by name, until it is let go of, serves or is
        rejected."""
        hold = Hold(number=self.revision + 1, component=component, version=version, who=who, at=at)
        return self._next(held=self.held.add(hold))

    def let_go(self, component: str, version: str | None, who: str, at: datetime) -> Desired:
        """All are to take a version out of memory; None: whichever of the component serve nobody."""
        drop = Drop(number=self.revision + 1, component=component, version=version, who=who, at=at)
        return self._next(held=self.held.drop(drop))

    def take_back(self, number: int) -> Desired:
        """A hold came to nothing."""
        return self._next(held=self.held.take_back(number))

    def _before(self) -> tuple[Committed, ...]:
        return (*self.previous, *([self.committed] if self.committed else []))[-_KEPT_SETS:]

    def _next(self, **changes: object) -> Desired:
        return self.model_copy(update={"revision": self.revision + 1, **changes})


def _aborted(proposal: Proposal, by: str, reason: str, at: datetime) -> Aborted:
    return Aborted(
        generation=proposal.generation, versions=proposal.versions, who=proposal.who, by=by, reason=reason, at=at
    )


class DesiredLog:
    """The states in a place. Raises RegistryUnavailable; IntegrityError where states are there and none is readable."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def read(self) -> Desired:
        """The state that counts: the highest that is whole; the empty one where nobody ever wrote any."""
        numbers = self._numbers()
        for number in reversed(numbers):
            content = self._place.read(_key(number))
            if content is None:
                continue
            try:
                found = Desired.model_validate_json(content)
            except ValidationError as error:
                _log.error("%s/%s is passed over: %s", self._place.url, _key(number), error.errors()[0]["msg"])
                continue
            # The next one is made above all that is there, readable or not.
            return found.model_copy(update={"revision": numbers[-1]})
        if numbers:
            raise IntegrityError(
                f"none of the desired states at {self._place.url} can be read", "put one back from a copy"
            )
        return Desired()

    def write(self, desired: Desired) -> None:
        """Make a state the one that counts. Raises Conflict where somebody else changed it since it was read."""
        number = desired.revision
        taken = Conflict("somebody else changed the desired state first", "look at what is wanted, and ask again")
        if not self._create(_key(number), desired.model_dump_json(indent=1).encode()):
            raise taken
        numbers = self._numbers()
        base_is_gone = number - 1 not in numbers if number > 1 else len(numbers) > _KEPT_REVISIONS
        if base_is_gone:
            # What was read had been cleared away since: this one is far below the one that counts.
            self._place.remove(_key(number))
            raise taken
        self._prune(numbers)

    def _create(self, key: str, data: bytes) -> bool:
        """An answer may get lost, and the file be there: then it is one's own."""
        try:
            return self._place.create(key, data) or self._place.read(key) == data
        except RegistryUnavailable:
            if self._place.read(key) == data:
                return True
            raise

    def _prune(self, numbers: list[int]) -> None:
        """The oldest first: `write` knows by that what is too late."""
        try:
            for number in numbers[:-_KEPT_REVISIONS]:
                self._place.remove(_key(number))
        except ModelHostError as error:
            _log.warning("old desired states stay: %s", error)

    def _numbers(self) -> list[int]:
        found = (re.fullmatch(r"(\d{12})\.json", name) for name in self._place.names(_FOLDER))
        return sorted(int(match[1]) for match in found if match)


def _key(number: int) -> str:
    return f"{_FOLDER}/{number:012d}.json"
