"""Who waits at the same port, also where the system does not show it, or where each has a socket of its own there."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from modelhost.http import processes
from modelhost.http.listening import answers_here, is_likely_here
from modelhost.http.processes import Processes

NOBODY = 65534
PR_SET_DUMPABLE = 4  # linux/prctl.h
ROOTS = "1"  # a process of root, into which no other user may look
ANYWHERE = ("127.0.0.1", 0)
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Whoever gives up root can enter it."""
    made = Path(tempfile.mkdtemp())
    if os.getuid() == 0:
        os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


class Worker:
    """A process of its own that listens, and says who is beside it."""

    def __init__(self, folder: Path, listen: Callable[[], object]) -> None:
        self._here, there = FORK.Pipe()
        self.process = FORK.Process(target=_work, args=(folder, listen, there), daemon=True)
        self.process.start()
        there.close()
        self.name = self.said()
        assert self.name == str(self.process.pid)

    def said(self) -> object:
        assert self._here.poll(60)
        return self._here.recv()

    def beside(self) -> object:
        self._here.send("beside")
        return self.said()

    def end(self) -> None:
        self._here.send("end")
        self.process.join(60)
        assert self.process.exitcode == 0


def test_workers_that_gave_up_root_find_each_other_and_not_the_one_with_a_port_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_WHERE_SECONDS", 30.0)  # a busy machine may keep one that answers for a second
    with _listening() as shared, _listening() as own:
        first, second = (Worker(folder, lambda: _hide(shared, own)) for _ in range(2))
        alone = Worker(folder, lambda: _hide(own, shared))
        assert first.beside() == ({second.name: True}, [])
        assert second.beside() == ({first.name: True}, [])
        assert alone.beside() == ({}, []), "of those with the other port it is known too: nothing to warn of"
        for worker in (first, second, alone):
            worker.end()


def test_processes_with_a_socket_each_at_one_address_find_each_other(folder: Path) -> None:
    with _listening(shared=True) as held:
        address = held.getsockname()

        def listen_at(at: tuple[str, int]) -> socket.socket:
            held.close()
            return _listening(at, shared=True)

        first, second = (Worker(folder, lambda: listen_at(address)) for _ in range(2))
        alone = Worker(folder, lambda: listen_at(ANYWHERE))
        assert first.beside() == ({second.name: True}, [])
        assert second.beside() == ({first.name: True}, [])
        assert alone.beside() == ({}, [])
        for worker in (first, second, alone):
            worker.end()


def test_one_that_is_not_shown_and_silent_counts_where_one_parent_started_both(folder: Path) -> None:
    with _listening() as shared:
        first = Worker(folder, lambda: _hide(shared))
        (path,) = folder.glob("*.sock")
        silent = Worker(folder / "elsewhere", lambda: _hide(shared))
        mute = socket.socket(socket.AF_UNIX)
        mute.bind(str(folder / f"{path.name.split('-')[0]}-{silent.name}-0.sock"))
        mute.listen()
        if os.getuid() == 0:
            os.chown(folder / f"{path.name.split('-')[0]}-{silent.name}-0.sock", NOBODY, NOBODY)
        assert first.beside() == ({silent.name: False}, [])
        mute.close()
        for worker in (first, silent):
            worker.end()


def test_a_process_whose_sockets_may_not_be_seen_is_said_once_and_not_counted() -> None:
    child = FORK.Process(target=_ask_as_nobody)
    child.start()
    child.join(60)
    assert child.exitcode == 0


def test_a_process_that_is_gone_is_not_here_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    child = FORK.Process(target=os.getpid)
    child.start()
    child.join(60)
    with _listening():
        assert answers_here(str(child.pid)) is False
    assert not [each for each in caplog.records if each.name.startswith("modelhost.http")]


def _ask_as_nobody() -> None:
    said = _records()
    if os.getuid() == 0:
        os.setuid(NOBODY)
    with _listening():
        assert [answers_here(ROOTS) for _ in range(3)] == [None] * 3
    assert [is_likely_here(ROOTS) for _ in range(3)] == [False] * 3
    assert [each.split(":")[0] for each in said] == [
        f"whether process {ROOTS} answers at the port of this one is not known"
    ]


def _work(folder: Path, listen: Callable[[], object], asked: Connection) -> None:
    said = _records()
    kept = listen()
    here = Processes(folder, lambda: b"")
    here.start()
    asked.send(here.name)
    while asked.recv() == "beside":
        asked.send((here.beside(5.0), said))
    here.close()
    del kept


def _hide(kept: socket.socket, *others: socket.socket) -> socket.socket:
    """As a worker that gave up root: what it has open is shown to no other process of its user."""
    _close(*others)
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    return kept


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        each.close()


def _listening(address: tuple[str, int] = ANYWHERE, shared: bool = False) -> socket.socket:
    made = socket.socket()
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.listen()
    return made


def _records() -> list[str]:
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("modelhost").addHandler(handler)
    return said
