"""The ledger's SQLite file: opening, migrating, transactions, and what SQLite's errors mean. It knows no row.

Durability: WAL with synchronous=FULL, so that a committed row survives a power cut before its effect begins.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from release.errors import LedgerError
from release.ledger import schema

BUSY_SECONDS = 2.0
_ROOM = 64 << 10  # less free space than this, and a failed write is put down to a full disk


class LedgerFull(LedgerError):
    """The disk (or a quota) has no room for the ledger; traffic can still move."""

    full = True


class Database:
    """One connection, shared by the threads of this process. Every method raises LedgerError and nothing of SQLite's.

    `readonly` never writes and never creates; it opens also where the disk is full or the directory is not ours to
    write.
    """

    def __init__(self, path: Path, *, readonly: bool = False, migrations: Sequence[str] = schema.MIGRATIONS) -> None:
        self.path = path
        self.readonly = readonly
        self._mutex = threading.RLock()
        with self._mapped():
            if readonly:
                self._connection = self._look()
            else:
                self._create_file()
                self._connection = self._connect("mode=rw")
            try:
                if not readonly:
                    self._connection.execute("PRAGMA synchronous=FULL")
                self._migrate(migrations)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        with self._mutex, self._mapped():
            self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._mutex, self._mapped():
            return self._connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Durable when the block has ended without an error; nothing of it happened otherwise."""
        with self._mutex, self._mapped():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    # -- opening -----------------------------------------------------------------------------------------------

    def _create_file(self) -> None:
        """Makes the file group-writable whatever the umask; SQLite gives its -wal and -shm the same mode."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
        except FileExistsError:
            return
        except OSError as error:
            raise _unreachable(self.path, error) from error
        try:
            os.fchmod(descriptor, 0o660)
        finally:
            os.close(descriptor)

    def _connect(self, option: str) -> sqlite3.Connection:
        """Touches no file yet; the first statement does."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{option}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.row_factory = sqlite3.Row
        return connection

    def _look(self) -> sqlite3.Connection:
        """Opens for reading. WAL wants a -shm file beside it even then: where none can be made (full disk, directory
        not writable), the index is kept in memory (exclusive mode), and at last the file is read as it lies."""
        if not self.path.exists():
            raise LedgerError(f"there is no ledger at {self.path}", hint="nothing was deployed from this state yet")
        first: sqlite3.Error | None = None
        for option, pragma in (("mode=ro", ""), ("mode=rw", "PRAGMA locking_mode=EXCLUSIVE"), ("immutable=1", "")):
            connection = self._connect(option)
            try:
                if pragma:
                    connection.execute(pragma)
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                connection.execute("PRAGMA query_only=ON")
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                first = first or error
                if _primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    break
            except sqlite3.Error:
                connection.close()
                raise
        assert first is not None
        raise first

    def _migrate(self, migrations: Sequence[str]) -> None:
        version, known = self._version(), len(migrations)
        if version == known:
            return
        if version > known:
            raise LedgerError(
                f"the ledger {self.path} has schema {version}, this release knows up to {known}",
                hint="a newer version of release wrote it: upgrade this one (pip install --upgrade release)",
            )
        if self.readonly:
            raise LedgerError(
                f"the ledger {self.path} has the older schema {version} (this release: {known})",
                hint="run `release doctor` once as a user who may write it; opening it for writing migrates it",
            )
        self._use_wal()
        with self.transaction() as connection:
            # Another process may have migrated it while this one waited for the write lock.
            for number in range(self._version(), known):
                for statement in schema.statements(migrations[number]):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={known}")

    def _version(self) -> int:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(self._connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if application != schema.APPLICATION_ID and (version or tables):
            raise LedgerError(
                f"{self.path} is an SQLite file, and not a ledger of release",
                hint="name another state directory with --state, or move that file away",
            )
        return version

    def _use_wal(self) -> None:
        """SQLite does not wait for this lock by itself, so two first openers need a little patience."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    # -- errors ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(self.path, error) from error


def _primary(error: sqlite3.Error) -> int:
    """The primary result code (the low byte of the extended one); 0 where the error is Python's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _explain(path: Path, error: sqlite3.Error) -> LedgerError:
    code = _primary(error)
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


def _unreachable(path: Path, error: OSError) -> LedgerError:
    import errno

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
