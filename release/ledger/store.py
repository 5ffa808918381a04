"""The ledger: releases, deployments with journal and verdicts, switches, model switches, notes, attachments, epoch.

Every method is one durable transaction and raises LedgerError; `LedgerFull` (`full = True`) where the disk is full.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from release.ledger import rows
from release.ledger.deployments import Deployments
from release.ledger.failures import LedgerFull
from release.ledger.models import ModelSwitches
from release.ledger.records import NoteRow, SwitchRow
from release.ledger.releases import Releases
from release.ledger.shelf import utc_now

__all__ = ["Ledger", "LedgerFull", "utc_now"]

ATTACHMENT_BYTES = 1 << 20


class Ledger(Releases, Deployments, ModelSwitches):
    """The one writer and reader of `ledger.db`. Safe to share between threads; other processes have their own.

    `Ledger(path)` makes and migrates the file; `Ledger(path, readonly=True)` only looks, also on a full disk.
    """

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def epoch(self) -> int:
        """Rises with every rollback and abort; a run that finds another epoch than its own was superseded."""
        return int(self._database.rows("SELECT value FROM state WHERE key = 'epoch'")[0][0])

    def raise_epoch(self) -> int:
        """The new epoch; of several callers at once each gets another."""
        with self._database.transaction() as connection:
            sql = "UPDATE state SET value = value + 1 WHERE key = 'epoch' RETURNING value"
            return int(connection.execute(sql).fetchall()[0][0])

    def save_switch(self, switch: SwitchRow) -> None:
        with self._database.transaction() as connection:
            self._insert(connection, "switches", rows.columns(switch))

    def switches(self, limit: int | None = None, deployment: str | None = None) -> list[SwitchRow]:
        """Newest first."""
        return [rows.record(SwitchRow, row) for row in self._select("switches", limit, deployment=deployment)]

    def note(self, kind: str, text: str, deployment: str | None = None, **data: Any) -> None:
        with self._database.transaction() as connection:
            self._insert(connection, "notes", self._note_columns(kind, text, deployment, data))

    def notes(self, kind: str | None = None, deployment: str | None = None, limit: int | None = None) -> list[NoteRow]:
        """Newest first."""
        return [rows.record(NoteRow, row) for row in self._select("notes", limit, kind=kind, deployment=deployment)]

    def attach(self, deployment_id: str, name: str, text: str) -> None:
        """Keeps a text with the deployment (a candidate's log); of more than 1 MiB the end."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO attachments (deployment, name, at, text) VALUES (?, ?, ?, ?)",
                (deployment_id, name, self._clock(), _end_of(text)),
            )

    def attachment(self, deployment_id: str, name: str) -> str | None:
        sql = "SELECT text FROM attachments WHERE deployment = ? AND name = ?"
        found = self._database.rows(sql, deployment_id, name)
        return str(found[0][0]) if found else None

    def attachments(self, deployment_id: str) -> list[str]:
        found = self._database.rows("SELECT name FROM attachments WHERE deployment = ? ORDER BY name", deployment_id)
        return [str(row[0]) for row in found]


def _end_of(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= ATTACHMENT_BYTES:
        return data.decode()
    return data[-ATTACHMENT_BYTES:].decode("utf-8", "ignore")
