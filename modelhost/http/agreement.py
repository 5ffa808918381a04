"""A reload of all processes behind one port, as one: each reads the file and prepares; only when all have is it taken
over anywhere.

Who is asked to reload asks the others over their sockets, and each answers in lines: `hearing` at once, `ready` when it
is prepared or `refused` and why, and after `commit` from here `done`. A conversation that breaks off calls it off, and
so does a process that is asked to end: its server would wait for the answer.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from modelhost.config.model import Settings
from modelhost.config.reload import Reload
from modelhost.errors import Refused, Unavailable
from modelhost.host.host import ModelHost
from modelhost.host.reloading import Nothing
from modelhost.http.ending import Ending
from modelhost.http.hearing import read_line
from modelhost.http.processes import Processes

WORD = "reload"
LOCK_FILE = "reload.lock"
HEARING_SECONDS = 3.0
PREPARING_SECONDS = 300.0  # another default is loaded meanwhile
_LOCK_SECONDS = 0.05
_log = logging.getLogger(__name__)


class Agreement:
    """Asks the others (`reload`), and is asked by them (`hear`), until `ending` begins."""

    def __init__(self, host: ModelHost, processes: Processes, ending: Ending | None = None) -> None:
        self._host = host
        self._processes = processes
        self._ending = ending or Ending()

    def reload(self, who: str, why: str) -> tuple[Reload, list[str]]:
        """How it went, and the processes that took it over. Raises Unavailable where one that was ready did not."""
        asked = {"process": self._processes.name, "who": who, "why": why}
        others = _Others(self._processes, f"{WORD} {json.dumps(asked)}", self._ending)
        with self._one_at_a_time():
            outcome = self._host.reload(who, why, [("the processes beside this one", others.prepare)])
            others.abort()  # nobody who waits is left waiting, whatever became of it
        took = sorted((self._processes.name, *others.done), key=int)
        if outcome.ok and others.late:
            missing = "; ".join(f"process {name}: {said}" for name, said in others.late.items())
            raise Unavailable(
                f"taken over by {', '.join(took)}, and not by all: {missing}", "reload once more, or restart those", 1.0
            )
        return outcome, took if outcome.ok else []

    def hear(self, asker: socket.socket, rest: str) -> None:
        """Another process asks: reloads with it, or leaves everything as it was."""
        asked = json.loads(rest)
        asker.sendall(b"hearing\n")
        waiting = _Waiting(asker)
        with self._ending.cutting(asker):
            outcome = self._host.reload(
                str(asked["who"]), str(asked["why"]), [(f"process {asked['process']}", waiting.prepare)]
            )
        said = "done" if outcome.ok else f"refused {json.dumps(outcome.error)}"
        asker.sendall(f"{said}\n".encode())

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Two that asked each other at once would wait for each other."""
        try:
            lock = os.open(self._processes.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield  # where there is no folder there are no others
            return
        try:
            while not _try_lock(lock):
                _demand_stay(self._ending)
                time.sleep(_LOCK_SECONDS)
            yield
            fcntl.flock(lock, fcntl.LOCK_UN)  # also of what a fork took along meanwhile
        finally:
            os.close(lock)


@dataclass(slots=True)
class _Others:
    """The processes beside the one that asks, as one who must agree. `late`: process → why it did not take over."""

    processes: Processes
    question: str
    ending: Ending
    done: list[str] = field(default_factory=list)
    late: dict[str, str] = field(default_factory=dict)
    talks: dict[str, socket.socket] = field(default_factory=dict)

    def prepare(self, new: Settings, old: Settings) -> _Others:
        """All of them are prepared when this returns. Raises Refused, which names who is not and why."""
        found = self.processes.conversations(self.question)
        self.talks = {name: talk for name, talk in found.items() if talk is not None}
        try:
            with self.ending.cutting(*self.talks.values()):
                self._demand_ready(found)
        except BaseException:
            self.abort()
            raise
        return self

    def _demand_ready(self, names: Iterable[str]) -> None:
        for name in names:
            if self._said(name, HEARING_SECONDS) != "hearing":
                _demand_stay(self.ending)
                raise Refused(f"process {name} lives and does not answer", "end it, or try again when it does")
        for name in names:
            if (said := self._said(name, PREPARING_SECONDS)) != "ready":
                _demand_stay(self.ending)
                raise Refused(f"process {name}: {_why(said)}")

    def commit(self) -> None:
        """Tells all of them. What fails now is not taken back: the others have it."""
        for talk in self.talks.values():
            with suppress(OSError):
                talk.sendall(b"commit\n")
        for name in self.talks:
            if (said := self._said(name, PREPARING_SECONDS)) == "done":
                self.done.append(name)
            else:
                self.late[name] = _why(said)
                _log.error("process %s did not take the configuration over: %s", name, self.late[name])

    def abort(self) -> None:
        """A conversation that ends without a word calls it off."""
        while self.talks:
            self.talks.popitem()[1].close()

    def _said(self, name: str, seconds: float) -> str:
        talk = self.talks.get(name)
        if talk is None:
            return ""
        try:
            talk.settimeout(seconds)
            return read_line(talk)
        except OSError:
            return ""


class _Waiting:
    """Who is asked, and is prepared: waits for the word."""

    def __init__(self, asker: socket.socket) -> None:
        self._asker = asker

    def prepare(self, new: Settings, old: Settings) -> Nothing:
        """Returns when all others are prepared too. Raises Refused where one is not."""
        self._asker.sendall(b"ready\n")
        self._asker.settimeout(2 * PREPARING_SECONDS)
        if read_line(self._asker) != "commit":
            raise Refused("it called the reload off", "its own log, or its answer, says why")
        return Nothing()


def _demand_stay(ending: Ending) -> None:
    if ending.is_begun:
        raise Refused("the process that was asked was told to end meanwhile", "ask again, and another one answers")


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _why(said: str) -> str:
    word, _, rest = said.partition(" ")
    return str(json.loads(rest)) if word == "refused" else "it ended, or said nothing in time"
