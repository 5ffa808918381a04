"""Rows of SQLite and the frozen values of `records`, into each other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from typing import Any, TypeVar

from release.errors import LedgerError
from release.ledger.records import (
    DeploymentRow,
    DeploymentState,
    Kind,
    ModelAction,
    ModelState,
    ModelSwitchRow,
    NoteRow,
    ReleaseRow,
    Standing,
    StepRow,
    StepState,
    SwitchRow,
)
from release.verdict import Outcome, Verdict

Record = TypeVar("Record", ReleaseRow, DeploymentRow, StepRow, SwitchRow, ModelSwitchRow, NoteRow, Verdict)

_READ: dict[type, dict[str, Callable[[Any], Any]]] = {
    ReleaseRow: {
        "snapshot": bool,
        "barrier": bool,
        "standing": Standing,
        "config": json.loads,
        "secrets": json.loads,
    },
    DeploymentRow: {"kind": Kind, "state": DeploymentState, "facts": json.loads},
    StepRow: {"state": StepState},
    SwitchRow: {},
    ModelSwitchRow: {"action": ModelAction, "state": ModelState},
    NoteRow: {"data": json.loads},
    Verdict: {"outcome": Outcome, "evidence": json.loads},
}


def record(kind: type[Record], row: sqlite3.Row) -> Record:
    """The value that a row holds. Raises LedgerError where the row holds what no such value can be."""
    read = _READ[kind]
    try:
        return kind(**{f.name: read[f.name](row[f.name]) if f.name in read else row[f.name] for f in fields(kind)})
    except (ValueError, IndexError) as error:
        raise LedgerError(
            f"the ledger holds a {kind.__name__} that cannot be read ({error})",
            hint="it was edited by hand, or written by a newer version of release",
        ) from error


def columns(value: Any) -> dict[str, Any]:
    """A record's fields as SQLite takes them."""
    return {f.name: column(getattr(value, f.name)) for f in fields(value)}


def column(value: Any) -> Any:
    """One value as SQLite takes it: dictionaries and lists as JSON, text without lone surrogates."""
    if isinstance(value, dict | list | tuple):
        return to_json(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return int(value)
    return value


def to_json(value: Any) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no word for: NumPy scalars become numbers, sets lists, the rest text (a Secret hides itself)."""
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
