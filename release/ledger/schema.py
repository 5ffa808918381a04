"""The ledger's tables, and how an older file becomes a newer one. Pure text: no connection is opened here.

`MIGRATIONS[n]` leads from `user_version` n to n + 1. A migration, once released, is never edited: append another.
"""

from __future__ import annotations

# Marks the file as ours ("RLDG"), so that a foreign SQLite file is never written into.
APPLICATION_ID = 0x524C4447

_FIRST = """
CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO state VALUES ('epoch', 0);

CREATE TABLE releases (
    name TEXT PRIMARY KEY,
    tag TEXT NOT NULL,
    "commit" TEXT NOT NULL,
    image_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    digest TEXT,
    snapshot INTEGER NOT NULL,
    barrier INTEGER NOT NULL,
    standing TEXT NOT NULL,
    reason TEXT NOT NULL,
    config TEXT NOT NULL,
    secrets TEXT NOT NULL,
    created_at TEXT NOT NULL,
    last_live_at TEXT,
    size INTEGER NOT NULL
);

CREATE TABLE deployments (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    release TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    slot TEXT,
    previous_release TEXT,
    previous_slot TEXT,
    epoch INTEGER NOT NULL,
    exit_code INTEGER,
    message TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX deployments_by_release ON deployments (release);
CREATE INDEX deployments_by_state ON deployments (state);

CREATE TABLE steps (
    deployment TEXT NOT NULL,
    number INTEGER NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    at TEXT NOT NULL,
    seconds REAL,
    detail TEXT NOT NULL,
    PRIMARY KEY (deployment, number)
) WITHOUT ROWID;

CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY,
    deployment TEXT NOT NULL,
    "check" TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,
    seconds REAL NOT NULL
);
CREATE INDEX verdicts_by_deployment ON verdicts (deployment);

CREATE TABLE switches (
    number INTEGER PRIMARY KEY,
    deployment TEXT NOT NULL,
    at TEXT NOT NULL,
    before INTEGER,
    after INTEGER NOT NULL,
    microseconds REAL NOT NULL,
    release TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX switches_by_deployment ON switches (deployment);

CREATE TABLE notes (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    deployment TEXT,
    text TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX notes_by_deployment ON notes (deployment);

CREATE TABLE attachments (
    deployment TEXT NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (deployment, name)
);
"""

_SECOND = """
CREATE TABLE model_switches (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    action TEXT NOT NULL,
    component TEXT NOT NULL,
    version TEXT,
    before TEXT,
    after TEXT,
    place TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    exit_code INTEGER,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX model_switches_by_component ON model_switches (component)
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _SECOND)

# Versions that only added tables: without them a file can still be looked at, on a full disk too.
ADDITIVE = frozenset({2})


def statements(script: str) -> list[str]:
    """The statements of a migration, one by one, so that they run inside one transaction (executescript commits)."""
    return [statement.strip() for statement in script.split(";") if statement.strip()]
