"""Processes of one service behind one port: each shows its metrics to the others, so that any of them answers for all.

They find each other by sockets in a folder, `<host>-<pid>-<random>.sock`, and are those of one port where they hold the
same listening socket, as workers of a server do: whoever has a port of its own is asked there. One that cannot be
reached any more is gone, and its socket is removed; one that lives and says nothing in time is named as silent.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

_SUFFIX = ".sock"
_FRESH = ".new"  # of one that does not listen yet
_BEGINS_WITHIN = 60.0  # seconds; what is older was killed before it did
_WAITING = 64
_ASKER_SECONDS = 5.0
_PATIENCE_OF_A_CONNECT = 0.5  # seconds; the kernel answers it, whatever the other process does
_log = logging.getLogger(__name__)


class Processes:
    """This process among those of one `folder`; `show` gives what it tells of itself. `name` is its number, and
    `is_beside` says of another's number whether it answers at the same port.

    Where no socket can be had, it is alone, which is logged. Start it in the process that serves, after any fork.
    """

    def __init__(self, folder: Path, show: Callable[[], bytes], is_beside: Callable[[str], bool] | None = None) -> None:
        self.name = str(os.getpid())
        self._folder = folder
        self._show = show
        self._is_beside = is_beside or answers_here
        self._host = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
        self._path = folder / f"{self._host}-{self.name}-{os.urandom(4).hex()}{_SUFFIX}"
        self._listening: socket.socket | None = None

    def start(self) -> None:
        """Shows itself to the others from here on. Never raises."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = self._path.with_suffix(_FRESH)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _near(self._folder) as near:
                listening.bind(str(near / fresh.name))
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
        deadline = time.monotonic() + seconds
        found: dict[str, bytes] = {}
        with suppress(OSError):
            for path in sorted(self._folder.glob(f"{self._host}-*{_SUFFIX}")):
                process = path.stem.split("-")[1]
                if process == self.name or not self._is_beside(process):
                    continue
                try:
                    found[process] = self._ask(path, deadline)
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)
                except OSError:
                    found[process] = b""
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
                    self._ask(path, time.monotonic())
                except (ConnectionRefusedError, FileNotFoundError):
                    path.unlink(missing_ok=True)

    def _ask(self, path: Path, deadline: float) -> bytes:
        """Raises ConnectionRefusedError for one that is gone, OSError for one that is silent."""
        parts: list[bytes] = []
        with _near(self._folder) as near, closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as asking:
            asking.settimeout(_PATIENCE_OF_A_CONNECT)
            asking.connect(str(near / path.name))
            asking.settimeout(_left(deadline))
            while part := asking.recv(1 << 16):
                parts.append(part)
                asking.settimeout(_left(deadline))
        return b"".join(parts)

    def _run(self, listening: socket.socket) -> None:
        while self._listening is listening:
            try:
                asker, _ = listening.accept()
            except OSError:
                return  # closed
            with closing(asker):
                try:
                    asker.settimeout(_ASKER_SECONDS)
                    asker.sendall(self._show())
                except OSError:
                    continue  # the asker has left
                except Exception:  # a metric that fails: the thread must live on
                    _log.exception("another process was not told the metrics of this one")


def answers_here(process: str) -> bool:
    """Whether another process has a socket that this one listens at; False where /proc does not say."""
    here = _listening_at()
    try:
        return any(_inode(each) in here for each in Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return False


def _listening_at() -> set[int]:
    """Inodes of the sockets at which this process waits for callers."""
    found: set[int] = set()
    with suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if (inode := _inode(path)) is not None:
                    with _copy(int(path.name)) as each:
                        if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                            found.add(inode)
    return found


def _copy(descriptor: int) -> socket.socket:
    """Raises OSError where it is no socket any more: the number was another file's in the meantime."""
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _inode(link: Path) -> int | None:
    """Of the socket that a file descriptor is; None for anything else."""
    try:
        match = re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink()))
    except FileNotFoundError:  # closed meanwhile
        return None
    return int(match[1]) if match else None


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


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimeoutError("too late")
    return left
