"""Releases in the ledger: an identity that never changes, and how each stands."""

from __future__ import annotations

from typing import Any

from release.errors import Refused, UsageError
from release.ledger import rows
from release.ledger.records import ReleaseRow, Standing
from release.ledger.shelf import Shelf
from release.naming import echoed


class Releases(Shelf):
    def save_release(self, release: ReleaseRow) -> ReleaseRow:
        """Inserts, or updates what may change: digest, standing, reason, last_live_at, size; gives the row as kept.

        The identity and configuration of a release that is known stay as first deployed; another image or commit under
        its name raises Refused. What is empty (no digest, NEW, no size) does not overwrite what is known.
        """
        with self._database.transaction() as connection:
            found = connection.execute("SELECT * FROM releases WHERE name = ?", (release.name,)).fetchone()
            if found is None:
                values = rows.columns(release) | {"created_at": release.created_at or self._clock()}
                self._insert(connection, "releases", values)
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
            self._insert(
                connection, "notes", self._note_columns("standing", f"{name} is {standing}: {reason}", None, data)
            )

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
        raise UsageError(
            f"the ledger knows no release {echoed(name)}", hint="`release history` lists those that it knows"
        )
