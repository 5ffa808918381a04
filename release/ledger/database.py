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
from release.ledger.failures import BUSY_SECONDS, LedgerFull, explain, primary, unreachable


class Database:
    """One connection, shared by the threads of this process. Every method raises LedgerError and nothing of SQLite's.

    `readonly` never writes and never creates; it opens also where the disk is full or the directory is not ours to
    write. Opened for writing on a full disk, it answers every question, and a transaction raises LedgerFull until there
    is room.
    """

    def __init__(self, path: Path, *, readonly: bool = False, migrations: Sequence[str] = schema.MIGRATIONS) -> None:
        self.path = path
        self.readonly = readonly
        self._mutex = threading.RLock()
        self._migrations = migrations
        self._brim = False  # opened for writing on a disk so full that only looking works
        try:
            self._connection = self._open(readonly)
        except LedgerFull:
            if readonly or not path.exists() or path.stat().st_size == 0:
                raise
            self._connection, self._brim = self._open(readonly=True), True

    def close(self) -> None:
        with self._mutex, self._mapped():
            self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._mutex, self._mapped():
            return self._connection.execute(sql, values).fetchall()

    def has(self, table: str) -> bool:
        """Whether there is such a table: an older file that was opened for looking lacks what came later."""
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Durable when the block has ended without an error; nothing of it happened otherwise."""
        with self._mutex, self._mapped():
            self._leave_the_brim()
            with _all_or_nothing(self._connection):
                yield self._connection

    # -- opening -----------------------------------------------------------------------------------------------

    def _open(self, readonly: bool) -> sqlite3.Connection:
        with self._mapped():
            if readonly:
                connection = self._look()
            else:
                self._create_file()
                connection = self._connect("mode=rw")
            try:
                if not readonly:
                    connection.execute("PRAGMA synchronous=FULL")
                self._migrate(connection, readonly)
            except BaseException:
                connection.close()
                raise
            return connection

    def _leave_the_brim(self) -> None:
        """Opens for writing what a full disk let be opened for looking only; raises LedgerFull where it is still so."""
        if self._brim:
            looking = self._connection
            looking.close()  # it may hold the file for itself
            try:
                self._connection = self._open(readonly=False)
            except LedgerError:
                self._connection = self._open(readonly=True)
                raise
            self._brim = False

    def _create_file(self) -> None:
        """Makes the file group-writable whatever the umask; SQLite gives its -wal and -shm the same mode."""
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o660)
        except FileExistsError:
            return
        except OSError as error:
            raise unreachable(self.path, error) from error
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
                if primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    break
            except sqlite3.Error:
                connection.close()
                raise
        assert first is not None
        raise first

    def _migrate(self, connection: sqlite3.Connection, readonly: bool) -> None:
        version, known = self._version(connection), len(self._migrations)
        if version == known:
            return
        if version > known:
            raise LedgerError(
                f"the ledger {self.path} has schema {version}, this release knows up to {known}",
                hint="a newer version of release wrote it: upgrade this one (pip install --upgrade release)",
            )
        if readonly and schema.ADDITIVE.issuperset(range(version + 1, known + 1)):
            return
        if readonly:
            raise LedgerError(
                f"the ledger {self.path} has the older schema {version} (this release: {known})",
                hint="run `release doctor` once as a user who may write it; opening it for writing migrates it",
            )
        _use_wal(connection)
        with _all_or_nothing(connection):
            # Another process may have migrated it while this one waited for the write lock.
            for number in range(self._version(connection), known):
                for statement in schema.statements(self._migrations[number]):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={known}")

    def _version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if application != schema.APPLICATION_ID and (version or tables):
            raise LedgerError(
                f"{self.path} is an SQLite file, and not a ledger of release",
                hint="name another state directory with --state, or move that file away",
            )
        return version

    # -- errors ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explain(self.path, error) from error


@contextlib.contextmanager
def _all_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for this lock by itself, so two first openers need a little patience."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
