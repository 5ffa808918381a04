"""Who switched what, when, why, and with which result: an append-only file of JSON lines, the refused ones included.

A line is written in one piece and synced before the switch is reported. A line that a crash cut is skipped when read,
and closed before the next is written.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelhost.registry.durable import append_line, sync_directory

_log = logging.getLogger(__name__)
_CUT_OFF = "the process ended before it could say how this ended"


class Kind(StrEnum):
    """What was asked for. A `mark` asks for nothing and is never written here: a version that serves was rejected."""

    START = "start"
    SWAP = "swap"
    ROLLBACK = "rollback"
    MARK = "mark"


class Outcome(StrEnum):
    """How it ended. Only after `switched` does something else serve. `begun` is written before a rollback flips, and
    read only where a process died before it could write the end: then it counts as `switched`."""

    BEGUN = "begun"
    SWITCHED = "switched"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Record:
    """One line. `before` and `after`: component → version of the whole set; `after` is what was wanted where it failed.

    `rejected`: component → version that was left for good. `fallbacks`: components of `after` that a fallback serves.
    `process`: whose line it is, since several may share the file; no part of what happened.
    """

    at: datetime
    kind: Kind
    outcome: Outcome
    who: str
    why: str
    generation: int
    before: Mapping[str, str]
    after: Mapping[str, str]
    rejected: Mapping[str, str] = field(default_factory=dict)
    fallbacks: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    notes: tuple[str, ...] = ()
    process: str = field(default="", compare=False)

    @property
    def changed(self) -> dict[str, str]:
        """Component → version of what is another one after than before."""
        return {name: version for name, version in self.after.items() if self.before.get(name) != version}


class History:
    """The records of one service, the oldest first. What cannot be written is kept in memory, and said by `append`.

    `process`: how this one calls itself; host and number where nobody has said anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.process = ""
        self._lock = threading.Lock()
        self._unwritten: list[Record] = []

    def append(self, record: Record) -> str:
        """Writes one record, durable on return. Returns what went wrong, or nothing: a switch never fails for it."""
        record = replace(record, process=self.process or f"{os.uname().nodename}-{os.getpid()}")
        line = json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            try:
                _append(self.path, line)
            except OSError as error:
                self._unwritten.append(record)
                _log.exception("%s could not be written; kept in memory: %s", self.path, line)
                return f"the history {self.path} could not be written: {error.strerror or error}"
        return ""

    def records(self) -> list[Record]:
        """All that happened. Lines that cannot be read are left out with a warning."""
        with self._lock:
            unwritten = list(self._unwritten)
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            lines = []
        except OSError as error:
            _log.warning("%s cannot be read: %s", self.path, error)
            lines = []
        written = [record for number, line in enumerate(lines, 1) if line and (record := self._parse(number, line))]
        found = _ended(written)
        return sorted(found + unwritten, key=lambda record: record.at) if unwritten else found

    def switches(self) -> list[Record]:
        """Those after which something else served, the latest first."""
        return [record for record in reversed(self.records()) if record.outcome is Outcome.SWITCHED]

    def _parse(self, number: int, line: bytes) -> Record | None:
        try:
            return _record(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            _log.warning("%s, line %d cannot be read and is left out", self.path, number)
            return None


def _ended(records: list[Record]) -> list[Record]:
    """Without what was begun and has an end. Where nobody wrote one, it has happened: who asked wanted to be rid of a
    version, and some users may have been."""
    found: list[Record] = []
    ends: set[tuple[str, int, str, str]] = set()
    for record in reversed(records):
        key = (record.kind, record.generation, record.who, record.why)
        if record.outcome is not Outcome.BEGUN:
            ends.add(key)
            found.append(record)
        elif key not in ends:
            found.append(replace(record, outcome=Outcome.SWITCHED, notes=(*record.notes, _CUT_OFF)))
    return found[::-1]


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        append_line(descriptor, line.encode() + b"\n")  # workers of one service share the file
    finally:
        os.close(descriptor)
    if fresh:
        sync_directory(path.parent)


def _plain(record: Record) -> dict[str, Any]:
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in _fields(record).items()}
    return {**plain, "at": record.at.isoformat()}


def _fields(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__dataclass_fields__}


def _record(plain: Mapping[str, Any]) -> Record:
    known = {name: value for name, value in plain.items() if name in Record.__dataclass_fields__}
    return Record(
        **{
            **known,
            "at": datetime.fromisoformat(plain["at"]),
            "kind": Kind(plain["kind"]),
            "outcome": Outcome(plain["outcome"]),
            "before": dict(plain["before"]),
            "after": dict(plain["after"]),
            "rejected": dict(plain.get("rejected", {})),
            "fallbacks": tuple(plain.get("fallbacks", ())),
            "notes": tuple(plain.get("notes", ())),
        }
    )
