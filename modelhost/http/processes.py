"""Processes of one service behind one port: each shows its metrics to the others, so that any of them answers for all,
and they agree on what all of them do.

They find each other by sockets in a folder, `<host>-<pid>-<random>.sock`, and are those of one port where they listen
at the same socket or address, as workers of a server do, which the system shows or they say themselves: whoever has a
port of its own is asked there, and one in another container, whose numbers are others, is none of them. One that cannot
be reached any more is gone, and its socket is removed; one that lives and says nothing in time is named as silent.

Who asks sends one line: a word, and after a space whatever it takes. Nobody but the same user is answered.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from modelhost.http import listening
from modelhost.http.hearing import heard, read_line

_SUFFIX = ".sock"
_FRESH = ".new"  # of one that does not listen yet
_BEGINS_WITHIN = 60.0  # seconds; what is older was killed before it did
_WAITING = 64
_ASKER_SECONDS = 5.0
_PATIENCE_OF_A_CONNECT = 0.5  # seconds; the kernel answers it, whatever the other process does
_WHERE_SECONDS = 0.5
SHOW, HERE, WHERE = "show", "here", "where"
Hearer = Callable[[socket.socket, str], object]
"""Answers one question: the socket of who asks, and what came after the word."""
_log = logging.getLogger(__name__)


class _Elsewhere(OSError):
    """Who listens is in no space of process numbers that is seen from here: the number in its name is another's."""


class Processes:
    """This process among those of one `folder`; `show` gives what it tells of itself. `name` is its number, and
    `is_beside` says of another's number whether it answers at the same port, None where it has to be asked itself.

    `hearers`: word → who answers it, in a thread of its own. Where no socket can be had, it is alone, which is logged.
    Start it in the process that serves, after any fork.
    """

    def __init__(
        self,
        folder: Path,
        show: Callable[[], bytes],
        is_beside: Callable[[str], bool | None] | None = None,
        hearers: Mapping[str, Hearer] | None = None,
    ) -> None:
        self.name = str(os.getpid())
        self._folder = folder
        self._hearers: dict[str, Hearer] = {
            SHOW: lambda asker, _: asker.sendall(show()),
            HERE: lambda asker, _: asker.sendall(b"here"),
            WHERE: lambda asker, _: asker.sendall(f"at {' '.join(map(str, listening.inodes()))}".encode()),
            **(hearers or {}),
        }
        self._is_beside = is_beside or listening.answers_here
        self._host = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
        self._path = folder / f"{self._host}-{self.name}-{os.urandom(4).hex()}{_SUFFIX}"
        self._listening: socket.socket | None = None

    @property
    def folder(self) -> Path:
        """Where the sockets are, which nobody else may enter."""
        return self._folder

    def start(self) -> None:
        """Shows itself to the others from here on. Never raises."""
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = self._path.with_suffix(_FRESH)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _near(self._folder) as near:
                own.bind(str(near / fresh.name))
            fresh.chmod(0o600)  # the folder may be older than that: what is asked here may be an admin's act
            own.listen(_WAITING)
            fresh.rename(self._path)  # after that: nobody takes one that does not listen yet for dead
        except OSError as error:
            own.close()
            _log.warning("the metrics of this process are not in what others answer: %s: %s", self._folder, error)
            return
        self._listening = own
        self._sweep()
        threading.Thread(target=self._run, args=(own,), name="modelhost-metrics", daemon=True).start()

    def close(self) -> None:
        """Shows itself no more."""
        own, self._listening = self._listening, None
        if own is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            with suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
            own.close()

    def others(self, seconds: float) -> dict[str, bytes]:
        """Process → what it shows; empty for one that lives and says nothing within `seconds`, which are for all."""
        return self._asked(SHOW, seconds)

    def beside(self, seconds: float) -> dict[str, bool]:
        """Process → whether it answers within `seconds`, which are for all: those that live, at the same port."""
        return {process: bool(said) for process, said in self._asked(HERE, seconds).items()}

    def conversations(self, question: str) -> dict[str, socket.socket | None]:
        """Process → an open socket to it, on which this line was sent; None for one that lives and does not take it.
        To be closed by the caller."""
        return self._talks(self._beside(), question)

    def _beside(self) -> list[tuple[str, Path]]:
        """Those at the same port, with their sockets. Whose own sockets are not shown says what it listens at."""
        everybody = [(process, path, self._is_beside(process)) for process, path in self._paths()]
        hidden = [(process, path) for process, path, beside in everybody if beside is None]
        said = heard(self._talks(hidden, WHERE), _WHERE_SECONDS) if hidden else {}
        near = {process for process, answer in said.items() if _is_near(process, answer)}
        return [(process, path) for process, path, beside in everybody if beside or process in near]

    def _talks(self, to: Iterable[tuple[str, Path]], question: str) -> dict[str, socket.socket | None]:
        found: dict[str, socket.socket | None] = {}
        for process, path in to:
            try:
                found[process] = self._connected(path, question)
            except _Elsewhere:
                continue
            except (ConnectionRefusedError, FileNotFoundError):
                with suppress(OSError):  # a folder that cannot be written keeps nobody from anything
                    path.unlink(missing_ok=True)
            except OSError:
                found[process] = None
        return found

    def _paths(self) -> Iterator[tuple[str, Path]]:
        """All others of this host, wherever they listen."""
        with suppress(OSError):
            for path in sorted(self._folder.glob(f"{self._host}-*{_SUFFIX}")):
                process = path.stem.split("-")[1]
                if process != self.name:
                    yield process, path

    def _asked(self, question: str, seconds: float) -> dict[str, bytes]:
        return heard(self.conversations(question), seconds)

    def _sweep(self) -> None:
        """Removes what killed processes left, and nothing of one that begins at this moment. Never raises."""
        for path in self._folder.glob(f"{self._host}-*"):
            with suppress(OSError):
                if path == self._path or (
                    path.suffix == _FRESH and time.time() - path.stat().st_mtime < _BEGINS_WITHIN
                ):
                    continue
                try:
                    self._connected(path, HERE).close()
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)

    def _connected(self, path: Path, question: str) -> socket.socket:
        asking = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            asking.settimeout(_PATIENCE_OF_A_CONNECT)
            with _near(self._folder) as near:
                asking.connect(str(near / path.name))
            if _credentials(asking)[0] == 0:
                raise _Elsewhere
            asking.sendall(question.encode() + b"\n")
        except BaseException:
            asking.close()
            raise
        return asking

    def _run(self, own: socket.socket) -> None:
        while self._listening is own:
            try:
                asker, _ = own.accept()
            except OSError:
                return  # closed
            try:
                threading.Thread(target=self._hear, args=(asker,), name="modelhost-process", daemon=True).start()
            except RuntimeError:
                self._hear(asker)

    def _hear(self, asker: socket.socket) -> None:
        with closing(asker):
            try:
                asker.settimeout(_ASKER_SECONDS)
                word, _, rest = read_line(asker).partition(" ")
                hearer = self._hearers.get(word)
                if hearer is not None and _credentials(asker)[1] in (os.getuid(), 0):
                    hearer(asker, rest)
            except OSError:
                return  # the asker has left
            except Exception:  # such as a metric that fails
                _log.exception("another process of this service was not answered")


def _is_near(process: str, said: bytes) -> bool:
    """Whether one that said this when it was asked where it listens does so here."""
    word, *numbers = said.decode("utf-8", "replace").split() or [""]
    if word != "at":
        return listening.is_likely_here(process)
    return listening.are_here({int(each) for each in numbers if each.isdecimal()})


def _credentials(other: socket.socket) -> tuple[int, int]:
    """Number and user of the process at the other end; the number is 0 where it has none that is seen from here. Those
    of this process where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getpid(), os.getuid()
    said = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", said)
    return int(process), int(user)


@contextmanager
def _near(folder: Path) -> Iterator[Path]:
    """A short path to a folder: that of a socket may have about a hundred characters."""
    if not Path("/proc/self/fd").is_dir():
        yield folder
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
