"""Processes of one service behind one port: each shows its metrics to the others, so that any of them answers for all,
and they agree on what all of them do.

They find each other by sockets in a folder, `<host>-<pid>-<random>.sock`, and are those of one port where they hold the
same listening socket, as workers of a server do: whoever has a port of its own is asked there, and one in another
container, whose numbers are others, is none of them. One that cannot be reached any more is gone, and its socket is
removed; one that lives and says nothing in time is named as silent.

Who asks sends one line: a word, and after a space whatever it takes. Nobody but the same user is answered.
"""

from __future__ import annotations

import logging
import os
import re
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from modelhost.http.listening import answers_here

_SUFFIX = ".sock"
_FRESH = ".new"  # of one that does not listen yet
_BEGINS_WITHIN = 60.0  # seconds; what is older was killed before it did
_WAITING = 64
_ASKER_SECONDS = 5.0
_PATIENCE_OF_A_CONNECT = 0.5  # seconds; the kernel answers it, whatever the other process does
_LONGEST_LINE = 1 << 16
SHOW, HERE = "show", "here"
Hearer = Callable[[socket.socket, str], object]
"""Answers one question: the socket of who asks, and what came after the word."""
_log = logging.getLogger(__name__)


class _Elsewhere(OSError):
    """Who listens is in no space of process numbers that is seen from here: the number in its name is another's."""


class Processes:
    """This process among those of one `folder`; `show` gives what it tells of itself. `name` is its number, and
    `is_beside` says of another's number whether it answers at the same port.

    `hearers`: word → who answers it, in a thread of its own. Where no socket can be had, it is alone, which is logged.
    Start it in the process that serves, after any fork.
    """

    def __init__(
        self,
        folder: Path,
        show: Callable[[], bytes],
        is_beside: Callable[[str], bool] | None = None,
        hearers: Mapping[str, Hearer] | None = None,
    ) -> None:
        self.name = str(os.getpid())
        self._folder = folder
        self._hearers: dict[str, Hearer] = {
            SHOW: lambda asker, _: asker.sendall(show()),
            HERE: lambda asker, _: asker.sendall(b"here"),
            **(hearers or {}),
        }
        self._is_beside = is_beside or answers_here
        self._host = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
        self._path = folder / f"{self._host}-{self.name}-{os.urandom(4).hex()}{_SUFFIX}"
        self._listening: socket.socket | None = None

    @property
    def folder(self) -> Path:
        """Where the sockets are, which nobody else may enter."""
        return self._folder

    def start(self) -> None:
        """Shows itself to the others from here on. Never raises."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = self._path.with_suffix(_FRESH)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _near(self._folder) as near:
                listening.bind(str(near / fresh.name))
            fresh.chmod(0o600)  # the folder may be older than that: what is asked here may be an admin's act
            listening.listen(_WAITING)
            fresh.rename(self._path)  # after that: nobody takes one that does not listen yet for dead
        except OSError as error:
            listening.close()
            _log.warning("the metrics of this process are not in what others answer: %s: %s", self._folder, error)
            return
        self._listening = listening
        self._sweep()
        threading.Thread(target=self._run, args=(listening,), name="modelhost-metrics", daemon=True).start()

    def close(self) -> None:
        """Shows itself no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def others(self, seconds: float) -> dict[str, bytes]:
        """Process → what it shows; empty for one that lives and says nothing within `seconds`, which are for all."""
        return self._asked(SHOW, seconds)

    def beside(self, seconds: float) -> dict[str, bool]:
        """Process → whether it answers within `seconds`, which are for all: those that live, at the same port."""
        return {process: bool(said) for process, said in self._asked(HERE, seconds).items()}

    def conversations(self, question: str) -> dict[str, socket.socket | None]:
        """Process → an open socket to it, on which this line was sent; None for one that lives and does not take it.
        To be closed by the caller."""
        found: dict[str, socket.socket | None] = {}
        for process, path in self._paths():
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
        with suppress(OSError):
            for path in sorted(self._folder.glob(f"{self._host}-*{_SUFFIX}")):
                process = path.stem.split("-")[1]
                if process != self.name and self._is_beside(process):
                    yield process, path

    def _asked(self, question: str, seconds: float) -> dict[str, bytes]:
        """All are asked at once: one that is silent takes nobody else's time."""
        deadline = time.monotonic() + seconds
        talks = self.conversations(question)
        heard = {process: bytearray() for process in talks}
        found = dict.fromkeys(talks, b"")
        with selectors.DefaultSelector() as waiting, ExitStack() as ends:
            for process, talk in talks.items():
                if talk is not None:
                    waiting.register(ends.enter_context(closing(talk)), selectors.EVENT_READ, process)
            while waiting.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    part = _part(key.fileobj)
                    if part:
                        heard[key.data] += part
                        continue
                    waiting.unregister(key.fileobj)
                    if part is not None:
                        found[key.data] = bytes(heard[key.data])
        return found

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

    def _run(self, listening: socket.socket) -> None:
        while self._listening is listening:
            try:
                asker, _ = listening.accept()
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


def read_line(asker: socket.socket) -> str:
    """One line, without its end; nothing where the other has left. Raises OSError, TimeoutError."""
    content = b""
    while not content.endswith(b"\n"):
        part = asker.recv(1)  # no byte of what comes after it
        if not part or len(content) > _LONGEST_LINE:
            return ""
        content += part
    return content[:-1].decode("utf-8", "replace")


def _part(talk: Any) -> bytes | None:
    """What has come; nothing at its end, and None where the other broke off."""
    try:
        return bytes(talk.recv(1 << 16))
    except OSError:
        return None


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
