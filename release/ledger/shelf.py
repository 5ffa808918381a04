"""What the parts of the ledger share: the file, the clock, and adding and listing rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.ledger import rows
from release.ledger.database import Database
from release.ledger.records import NoteRow


def utc_now() -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-21T01:54:49.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Shelf:
    """Every public method of a shelf is one durable transaction, or one look, and raises LedgerError."""

    def __init__(self, path: Path | str, *, readonly: bool = False, clock: Callable[[], str] = utc_now) -> None:
        self.path = Path(path)
        self._clock = clock
        self._database = Database(self.path, readonly=readonly)

    def _insert(self, connection: sqlite3.Connection, table: str, values: dict[str, Any]) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))

    def _select(self, table: str, limit: int | None, **equal: str | None) -> list[sqlite3.Row]:
        """Newest first; a column that is asked to equal None is not asked."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        where = " AND ".join(f'"{name}" = ?' for name in wanted)
        sql = f"SELECT * FROM {table} {'WHERE ' + where if where else ''} ORDER BY number DESC LIMIT ?"
        return self._database.rows(sql, *wanted.values(), -1 if limit is None else limit)

    def _note_columns(self, kind: str, text: str, deployment: str | None, data: dict[str, Any]) -> dict[str, Any]:
        return rows.columns(NoteRow(self._clock(), kind, deployment, text, data))
