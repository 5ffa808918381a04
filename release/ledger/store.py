"""The ledger: releases, deployments, steps, verdicts, switches, notes and attachments, and the epoch.

Every method is one durable transaction and raises LedgerError; `LedgerFull` (`full = True`) where the disk is full.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from release.errors import LedgerError, Refused, UsageError
from release.ledger import rows
from release.ledger.database import Database, LedgerFull
from release.ledger.records import (
    DeploymentRow,
    DeploymentState,
    Kind,
    NoteRow,
    ReleaseRow,
    Standing,
    StepRow,
    StepState,
    SwitchRow,
)
from release.verdict import Verdict

__all__ = ["Ledger", "LedgerFull", "utc_now"]

ATTACHMENT_BYTES = 1 << 20
_UPDATABLE = frozenset(
    {
        "release",
        "state",
        "pid",
        "ended_at",
        "slot",
        "previous_release",
        "previous_slot",
        "epoch",
        "exit_code",
        "message",
    }
)


def utc_now() -> str:
    """RFC 3339, UTC, milliseconds: `2026-11-21T01:54:49.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ledger:
    """The one writer and reader of `ledger.db`. Safe to share between threads; other processes have their own."""

    def __init__(self, path: Path | str, *, readonly: bool = False, clock: Callable[[], str] = utc_now) -> None:
        self.path = Path(path)
        self._clock = clock
        self._database = Database(self.path, readonly=readonly)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # -- epoch -------------------------------------------------------------------------------------------------

    def epoch(self) -> int:
        """Rises with every rollback and abort; a run that finds another epoch than its own was superseded."""
        return int(self._database.rows("SELECT value FROM state WHERE key = 'epoch'")[0][0])

    def raise_epoch(self) -> int:
        """The new epoch; of several callers at once each gets another."""
        with self._database.transaction() as connection:
            sql = "UPDATE state SET value = value + 1 WHERE key = 'epoch' RETURNING value"
            return int(connection.execute(sql).fetchall()[0][0])

    # -- releases ----------------------------------------------------------------------------------------------

    def save_release(self, release: ReleaseRow) -> ReleaseRow:
        """Inserts, or updates what may change: digest, standing, reason, last_live_at, size; gives the row as kept.

        The identity and configuration of a release that is known stay as first deployed; another image or commit under
        its name raises Refused. What is empty (no digest, NEW, no size) does not overwrite what is known.
        """
        with self._database.transaction() as connection:
            found = connection.execute("SELECT * FROM releases WHERE name = ?", (release.name,)).fetchone()
            if found is None:
                values = rows.columns(release) | {"created_at": release.created_at or self._clock()}
                _insert(connection, "releases", values)
            else:
                known = rows.record(ReleaseRow, found)
                _same_identity(known, release)
                standing = known if release.standing is Standing.NEW else release
                connection.execute(
                    "UPDATE releases SET digest = ?, standing = ?, reason = ?, last_live_at = ?, size = ?"
                    " WHERE name = ?",
                    (
                        release.digest or known.digest,
                        standing.standing.value,
                        rows.column(standing.reason),
                        release.last_live_at or known.last_live_at,
                        release.size or known.size,
                        release.name,
                    ),
                )
            kept = connection.execute("SELECT * FROM releases WHERE name = ?", (release.name,)).fetchone()
            return rows.record(ReleaseRow, kept)

    def release(self, name: str) -> ReleaseRow | None:
        found = self._database.rows("SELECT * FROM releases WHERE name = ?", name)
        return rows.record(ReleaseRow, found[0]) if found else None

    def releases(self) -> list[ReleaseRow]:
        """Newest first, by when they were last live, else made."""
        sql = "SELECT * FROM releases ORDER BY coalesce(last_live_at, created_at) DESC, rowid DESC"
        return [rows.record(ReleaseRow, row) for row in self._database.rows(sql)]

    def set_standing(self, name: str, standing: Standing, reason: str, actor: str) -> None:
        """Changes how a release stands, and notes who said so. Raises UsageError for an unknown one."""
        with self._database.transaction() as connection:
            values = (standing.value, rows.column(reason), name)
            changed = connection.execute("UPDATE releases SET standing = ?, reason = ? WHERE name = ?", values)
            _known(changed.rowcount, name)
            data = {"release": name, "standing": standing.value, "actor": actor}
            _insert(connection, "notes", self._note_columns("standing", f"{name} is {standing}: {reason}", None, data))

    def mark_live(self, name: str, at: str | None = None) -> None:
        with self._database.transaction() as connection:
            values = (at or self._clock(), name)
            _known(connection.execute("UPDATE releases SET last_live_at = ? WHERE name = ?", values).rowcount, name)

    def set_digest(self, name: str, digest: str) -> None:
        """The registry's digest, once it was pushed and read back."""
        self._change_release(name, digest=digest)

    def set_config(self, name: str, config: dict[str, Any], secrets: dict[str, str]) -> None:
        """The configuration with which a release went live last: what a rollback to it starts it with."""
        self._change_release(name, config=config, secrets=secrets)

    def renew_image(self, name: str, image_id: str, size: int) -> None:
        """A release whose image was pruned everywhere was built again from its commit: the new image is its image."""
        self._change_release(name, image_id=image_id, size=size)

    def _change_release(self, name: str, **values: Any) -> None:
        names = ", ".join(f'"{column}" = ?' for column in values)
        with self._database.transaction() as connection:
            data = [rows.column(value) for value in values.values()]
            _known(connection.execute(f"UPDATE releases SET {names} WHERE name = ?", (*data, name)).rowcount, name)

    # -- deployments -------------------------------------------------------------------------------------------

    def begin(self, deployment: DeploymentRow) -> None:
        with self._database.transaction() as connection:
            _insert(connection, "deployments", rows.columns(deployment))

    def update(self, deployment_id: str, **columns: Any) -> None:
        """Sets columns of a deployment. Raises ValueError for a column that is fixed at `begin` (or none)."""
        unknown = sorted(set(columns) - _UPDATABLE)
        if unknown or not columns:
            raise ValueError(f"cannot update {unknown or 'nothing'}; these can: {', '.join(sorted(_UPDATABLE))}")
        names = ", ".join(f'"{name}" = ?' for name in columns)
        with self._database.transaction() as connection:
            values = [rows.column(value) for value in columns.values()]
            changed = connection.execute(f"UPDATE deployments SET {names} WHERE id = ?", (*values, deployment_id))
            _begun(changed.rowcount, deployment_id)

    def remember(self, deployment_id: str, **facts: Any) -> None:
        """Merges facts into the deployment's; durable before the effect that they describe."""
        with self._database.transaction() as connection:
            found = connection.execute("SELECT * FROM deployments WHERE id = ?", (deployment_id,)).fetchall()
            _begun(len(found), deployment_id)
            merged = rows.record(DeploymentRow, found[0]).facts | facts
            values = (rows.to_json(merged), deployment_id)
            connection.execute("UPDATE deployments SET facts = ? WHERE id = ?", values)

    def finish(self, deployment_id: str, state: DeploymentState, exit_code: int | None, message: str) -> None:
        self.update(deployment_id, state=state, exit_code=exit_code, message=message, ended_at=self._clock())

    def deployment(self, deployment_id: str) -> DeploymentRow | None:
        found = self._database.rows("SELECT * FROM deployments WHERE id = ?", deployment_id)
        return rows.record(DeploymentRow, found[0]) if found else None

    def deployments(
        self, limit: int | None = None, release: str | None = None, kind: Kind | None = None
    ) -> list[DeploymentRow]:
        """Newest first."""
        return [
            rows.record(DeploymentRow, row)
            for row in self._select("deployments", limit, release=release, kind=kind and kind.value)
        ]

    def unfinished(self) -> list[DeploymentRow]:
        """Those that say they run, newest first; whether one truly does, the deployment lock tells."""
        running = self._select("deployments", None, state=DeploymentState.RUNNING.value)
        return [rows.record(DeploymentRow, row) for row in running]

    # -- journal and verdicts ----------------------------------------------------------------------------------

    def step(
        self, deployment_id: str, step: str, state: StepState, detail: str = "", seconds: float | None = None
    ) -> StepRow:
        """Adds a row to the journal, numbered from 1 in each deployment; durable when it returns."""
        sql = (
            "INSERT INTO steps (deployment, number, step, state, at, seconds, detail)"
            " SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM steps WHERE deployment = ?1 RETURNING *"
        )
        with self._database.transaction() as connection:
            values = (deployment_id, step, state.value, self._clock(), seconds, rows.column(detail))
            return rows.record(StepRow, connection.execute(sql, values).fetchall()[0])

    def steps(self, deployment_id: str) -> list[StepRow]:
        found = self._database.rows("SELECT * FROM steps WHERE deployment = ? ORDER BY number", deployment_id)
        return [rows.record(StepRow, row) for row in found]

    def save_verdict(self, deployment_id: str, verdict: Verdict) -> None:
        with self._database.transaction() as connection:
            _insert(connection, "verdicts", {"deployment": deployment_id} | rows.columns(verdict))

    def verdicts(self, deployment_id: str) -> list[Verdict]:
        found = self._database.rows("SELECT * FROM verdicts WHERE deployment = ? ORDER BY number", deployment_id)
        return [rows.record(Verdict, row) for row in found]

    # -- switches, notes, attachments --------------------------------------------------------------------------

    def save_switch(self, switch: SwitchRow) -> None:
        with self._database.transaction() as connection:
            _insert(connection, "switches", rows.columns(switch))

    def switches(self, limit: int | None = None, deployment: str | None = None) -> list[SwitchRow]:
        """Newest first."""
        return [rows.record(SwitchRow, row) for row in self._select("switches", limit, deployment=deployment)]

    def note(self, kind: str, text: str, deployment: str | None = None, **data: Any) -> None:
        with self._database.transaction() as connection:
            _insert(connection, "notes", self._note_columns(kind, text, deployment, data))

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

    # -- within ------------------------------------------------------------------------------------------------

    def _select(self, table: str, limit: int | None, **equal: str | None) -> list[Any]:
        wanted = {name: value for name, value in equal.items() if value is not None}
        where = " AND ".join(f'"{name}" = ?' for name in wanted)
        sql = f"SELECT * FROM {table} {'WHERE ' + where if where else ''} ORDER BY number DESC LIMIT ?"
        return self._database.rows(sql, *wanted.values(), -1 if limit is None else limit)

    def _note_columns(self, kind: str, text: str, deployment: str | None, data: dict[str, Any]) -> dict[str, Any]:
        return rows.columns(NoteRow(self._clock(), kind, deployment, text, data))


def _insert(connection: Any, table: str, values: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def _same_identity(known: ReleaseRow, new: ReleaseRow) -> None:
    for what, before, now in (("image", known.image_id, new.image_id), ("commit", known.commit, new.commit)):
        if before != now:
            raise Refused(
                f"{known.name} is known with {what} {before}, and now comes with {now}",
                hint="a release never changes: make another tag for what is new",
                release=known.name,
            )


def _known(changed: int, name: str) -> None:
    if not changed:
        raise UsageError(f"the ledger knows no release {name}", hint="`release history` lists those that it knows")


def _begun(changed: int, deployment_id: str) -> None:
    if not changed:
        raise LedgerError(f"the ledger knows no deployment {deployment_id}", hint="`release history` lists them")


def _end_of(text: str) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= ATTACHMENT_BYTES:
        return data.decode()
    return data[-ATTACHMENT_BYTES:].decode("utf-8", "ignore")
