"""The locks: one run at a time (deployment), one rollback at a time, and one hand at the traffic (milliseconds).

Each is a flock(2) on a file that is never unlinked. The kernel drops the lock when its owner dies, however it dies.
A flock belongs to the open file: `O_CLOEXEC` keeps it from programs that are started, and a child made by os.fork()
closes its copy at once (closing a copy does not unlock; unlocking it would, so nothing here unlocks in a child).
The holder's name is text in the file (`holders`); the lock itself never depends on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from release.errors import LedgerError, Locked
from release.ledger import holders
from release.ledger.shelf import utc_now

# `holder()` borrows the lock for some microseconds; an acquirer that meets it must not take it for a run.
_GRACE_SECONDS = 0.1
_POLL_SECONDS = 0.005


class FileLock:
    """An exclusive lock among processes, and among instances in one process. One instance is held once at a time."""

    what: ClassVar[str] = "lock"
    advice: ClassVar[str] = "wait for it to end"
    patience: ClassVar[float] = 0.0

    def __init__(self, path: Path | str, *, clock: Callable[[], str] = utc_now) -> None:
        self.path = Path(path)
        self._clock = clock
        self._descriptor: int | None = None
        _locks.add(self)

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self, wait: float | None = None, *, deployment: str | None = None, command: str | None = None) -> None:
        """Takes the lock within `wait` seconds (default: this kind's patience). Raises Locked, which names the holder
        and what to do, and LedgerError where the file cannot be opened."""
        if self._descriptor is not None:
            raise RuntimeError(f"the {self.what} {self.path} is held by this very object")
        deadline = time.monotonic() + max(self.patience if wait is None else wait, _GRACE_SECONDS)
        while True:
            taken, holder = self._attempt(json.dumps(holders.this_process(self._clock(), deployment, command)))
            if taken is not None:
                self._descriptor = taken
                return
            if time.monotonic() >= deadline:
                raise Locked(f"the {self.what} is held by {holders.describe(holder)}", hint=self.advice, holder=holder)
            time.sleep(_POLL_SECONDS)

    def release(self) -> None:
        """Lets go; not held is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            holders.write(descriptor, "")
            os.close(descriptor)

    def holder(self) -> dict[str, Any] | None:
        """Who holds it (pid, user, host, command, deployment, since), without waiting; {} where that is not known,
        None where nobody does."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreachable(self.path, error) from error
        try:
            return None if _try(descriptor, fcntl.LOCK_SH) else holders.read(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def holding(
        self, wait: float | None = None, *, deployment: str | None = None, command: str | None = None
    ) -> Iterator[Self]:
        self.acquire(wait, deployment=deployment, command=command)
        try:
            yield self
        finally:
            self.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def _attempt(self, text: str) -> tuple[int | None, dict[str, Any]]:
        """A locked descriptor, or None and who holds it."""
        descriptor = _open(self.path)
        try:
            if not _try(descriptor, fcntl.LOCK_EX):
                holder = holders.read(descriptor)
            elif _is_at(descriptor, self.path):
                holders.write(descriptor, text)
                return descriptor, {}
            else:
                holder = {}  # the file was replaced between open and flock: this is a lock on nothing
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None, holder


class DeploymentLock(FileLock):
    """One run at a time; held from the first step to the last."""

    what = "deployment lock"
    advice = (
        "wait for that run (`release status --watch`), or end it with `release abort`; `release rollback` does not wait"
    )


class TrafficLock(FileLock):
    """Held around a switch, for milliseconds."""

    what = "traffic lock"
    advice = "a switch takes milliseconds: that process hangs or was stopped; end it (`kill PID`) and repeat"
    patience = 5.0


class RollbackLock(FileLock):
    """One rollback at a time; a run that begins meanwhile would take the slot from under it."""

    what = "rollback lock"
    advice = "a rollback is under way: `release status` shows it; it ends within the health check's timeout"
    patience = 5.0


def _open(path: Path) -> int:
    """A descriptor of the lock's file, group-writable where this call creates it. A file that this user may only read
    locks as well; it then keeps no name."""
    try:
        descriptor = _create(path)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC) if descriptor is None else descriptor
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _unreachable(path, error) from error
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreachable(path, error) from error


def _create(path: Path) -> int | None:
    """None where the file exists. Open without O_CREAT then: fs.protected_regular refuses it for another's file."""
    if path.exists():
        return None
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
    except FileExistsError:
        return None
    os.fchmod(descriptor, 0o660)
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unreachable(path: Path, error: OSError) -> LedgerError:
    return LedgerError(
        f"cannot open the lock {path} ({error.strerror})",
        hint=f"let this user write {path.parent} (join its group), or name another state directory with --state",
    )


_locks: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _forget_in_child() -> None:
    for lock in list(_locks):
        descriptor, lock._descriptor = lock._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


os.register_at_fork(after_in_child=_forget_in_child)
