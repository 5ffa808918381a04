"""What SQLite's errors mean for the ledger, and what to do about each."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from release.errors import LedgerError

BUSY_SECONDS = 2.0
_ROOM = 64 << 10  # less free space than this, and a failed write is put down to a full disk


class LedgerFull(LedgerError):
    """The disk (or a quota) has no room for the ledger; traffic can still move."""

    full = True


def primary(error: sqlite3.Error) -> int:
    """The primary result code (the low byte of the extended one); 0 where the error is Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def explain(path: Path, error: sqlite3.Error) -> LedgerError:
    code = primary(error)
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path)):
        return LedgerFull(
            f"the ledger {path} cannot be written: the disk is full",
            hint=f"free space on the file system of {path.parent} (`df -h {path.parent}`); traffic can still be moved",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LedgerError(
            f"the ledger {path} is damaged ({error})",
            hint=f"restore it from a backup, or set it aside (mv {path} {path}.damaged) and run `release doctor`; "
            "what serves and what runs does not depend on it, its history does",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerError(
            f"the ledger {path} was busy for {BUSY_SECONDS:g} s",
            hint=f"another process writes it; find it with `fuser {path}`, and repeat",
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return LedgerError(
            f"the ledger {path} cannot be opened or written ({error})",
            hint=f"this user needs to write the file and its directory: join the group of {path.parent}",
        )
    return LedgerError(f"the ledger {path}: {error}", hint="run `release doctor`")


def unreachable(path: Path, error: OSError) -> LedgerError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LedgerFull(f"the ledger {path} cannot be created: the disk is full", hint=f"free space on {path.parent}")
    return LedgerError(
        f"the ledger {path} cannot be created ({error.strerror})",
        hint=f"make {path.parent} a directory that this user may write, or name another one with --state",
    )


def _is_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _ROOM or (room.f_files > 0 and room.f_favail == 0)
