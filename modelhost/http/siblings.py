"""The other processes behind the port of this one: what each of them would do alone, though callers take them for one.

Without a cluster, a switch reaches the process that happens to answer: it is refused where there are others, with the
line that makes them members. Their memory is theirs together only where the configuration divides it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from modelhost.errors import Conflict
from modelhost.host.host import ModelHost
from modelhost.http.control import Brought, HostControl, Switched
from modelhost.http.processes import Processes
from modelhost.serving.asked import Asked

ANSWER_SECONDS = 1.0
LEAVING_SECONDS = 2.0  # a worker that is replaced shares the port with its successor for a moment
_log = logging.getLogger(__name__)


class Siblings:
    """`beside` finds them, `follows` says whether a cluster switches them together; `workers`: the processes among
    which the budget of memory is divided."""

    def __init__(self, processes: Processes, *, follows: bool, workers: int) -> None:
        self._processes = processes
        self._follows = follows
        self._workers = workers
        self._before: Collection[str] = ()
        self._lasting: frozenset[str] = frozenset()
        self._said: tuple[str, ...] = ()

    def look(self) -> None:
        """To be called now and then. What serves at two looks stays, and is warned of, once and by one of them."""
        found = self._serving()
        self._lasting = frozenset(found).intersection(self._before)
        self._before = frozenset(found)
        said = tuple(self._warnings(self._lasting))
        first = min((self._processes.name, *self._lasting), key=int) == self._processes.name
        for warning in said if first and len(said) > len(self._said) else ():
            _log.warning("%s", warning)
        self._said = said

    def demand_none(self, even_silent: bool) -> None:
        """Raises Conflict where others serve beside this one and no cluster switches them. One that leaves is given a
        moment; `even_silent`: whoever lives counts, though it does not answer, or does not serve yet."""
        if self._follows:
            return
        deadline = time.monotonic() + LEAVING_SECONDS
        while found := [
            name for name, serves in self._processes.beside(ANSWER_SECONDS).items() if serves or even_silent
        ]:
            if self._lasting.intersection(found) or time.monotonic() > deadline:
                what = f"{_named(found)} at the same port as {self._processes.name} would not follow"
                _log.warning("nothing is switched: %s: %s", what, _REMEDY)
                raise Conflict(what, _REMEDY)
            time.sleep(0.1)

    def plain(self) -> dict[str, Any]:
        """This process, those beside it at this moment, and what is wrong about that."""
        found = self._processes.beside(ANSWER_SECONDS)
        serving = [name for name, serves in found.items() if serves]
        return {"here": self._processes.name, "beside": list(found), "warnings": self._warnings(serving)}

    def _serving(self) -> list[str]:
        return [name for name, serves in self._processes.beside(ANSWER_SECONDS).items() if serves]

    def _warnings(self, found: Collection[str]) -> list[str]:
        all_of_them = sorted((self._processes.name, *found), key=int)
        said = []
        if found and not self._follows:
            said.append(
                f"{_named(all_of_them)} answer at one port and do not follow each other: promote, rollback, load and "
                f"unload are refused: {_REMEDY}"
            )
        if found and len(all_of_them) > self._workers:
            said.append(
                f"memory.workers is {self._workers}, and {_named(all_of_them)} are {len(all_of_them)}: together they "
                f"may take more than the budget: write memory: {{workers: {len(all_of_them)}}} into the configuration, "
                "and restart the service"
            )
        return said


_REMEDY = "write cluster: {group: NAME} into the configuration, and restart the service: then all of them switch"


class AloneControl(HostControl):
    """A host that follows nobody, and refuses to switch where others beside it would not."""

    def __init__(self, host: ModelHost, demand_none: Callable[[bool], None]) -> None:
        super().__init__(host)
        self._demand_none = demand_none

    def promote(
        self, versions: Mapping[str, str], *, who: str, why: str, expected_generation: int | None = None
    ) -> Switched:
        """As a host does."""
        self._demand_none(True)
        return super().promote(versions, who=who, why=why, expected_generation=expected_generation)

    def rollback(self, asked: Asked, *, who: str, reason: str, expected_generation: int | None = None) -> Switched:
        """As a host does. One that is silent, or does not serve yet, keeps nobody from going back."""
        self._demand_none(False)
        return super().rollback(asked, who=who, reason=reason, expected_generation=expected_generation)

    def load(self, component: str, version: str, *, who: str) -> Brought:
        """As a host does."""
        self._demand_none(True)
        return super().load(component, version, who=who)

    def unload(self, component: str, version: str | None, *, who: str) -> None:
        """As a host does."""
        self._demand_none(True)
        super().unload(component, version, who=who)


def _named(processes: Collection[str]) -> str:
    return f"{'process' if len(processes) == 1 else 'processes'} {', '.join(processes)}"
