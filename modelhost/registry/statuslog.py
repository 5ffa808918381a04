"""A component's status log: one JSON line for each change, only ever appended to. The last line of a version counts.

A line counts once its newline is there: what a killed writer left of one is not read, and the next writer
cuts it off.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from modelhost.errors import IntegrityError
from modelhost.registry.base import Status, StatusChange
from modelhost.registry.durable import sync_directory


def encode(change: StatusChange) -> bytes:
    """One line, with its newline."""
    fields = asdict(change) | {"at": change.at.isoformat(), "status": change.status.value}
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def decode(line: bytes, where: str) -> StatusChange:
    """The change that a line speaks of. Raises IntegrityError."""
    try:
        fields: dict[str, Any] = json.loads(line)
        return StatusChange(
            at=datetime.fromisoformat(fields["at"]),
            version=str(fields["version"]),
            status=Status(fields["status"]),
            who=str(fields["who"]),
            why=str(fields["why"]),
        )
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        # Passing over it could make a rejected version stable again.
        raise IntegrityError(
            f"{where} is no change of status", "look at the line; a log is never edited by hand"
        ) from error


def standing(changes: Iterable[StatusChange]) -> dict[str, Status]:
    """The status of each version that was ever marked; the others are unstable."""
    return {change.version: change.status for change in changes}


def following(
    changes: list[StatusChange], now: datetime, version: str, status: Status, who: str, why: str
) -> StatusChange:
    """A change that sorts after all of a log, whatever the clocks of the machines say that wrote it."""
    last = max((change.at for change in changes), default=None)
    at = now if last is None or last < now else last + timedelta(microseconds=1)
    return StatusChange(at, version, Status(status), who, why)


def read(path: Path) -> list[StatusChange]:
    """All whole lines, the oldest first; none where there is no log yet. Raises OSError, IntegrityError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines()
    return [decode(line, f"line {number} of {path}") for number, line in enumerate(lines, 1)]


def append(path: Path, change: StatusChange) -> None:
    """Write one line, durable on return. Raises OSError, and then the log is as it was."""
    fresh = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        end = _cut_torn_line(handle)
        line = encode(change)
        try:
            if os.write(handle, line) != len(line):
                raise OSError(f"{path}: the disk took only a part of the line")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)
    if fresh:
        sync_directory(path.parent)


def _cut_torn_line(handle: int) -> int:
    """Cut what a killed writer left after the last newline; the length that remains, in bytes."""
    size = os.fstat(handle).st_size
    position = size
    while position > 0:
        start = max(0, position - 4096)
        newline = os.pread(handle, position - start, start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < size:
        os.ftruncate(handle, position)
    return position
