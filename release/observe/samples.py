"""Samples: what nginx's JSON access log says of each request. Reading the log, also across its rotation.

The log's bytes may be no UTF-8 (nginx copies what clients send), its last line may be half written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO


@dataclass(frozen=True, slots=True)
class Sample:
    """One request through the proxy. Times in seconds; `time` (Unix) is its end, when nginx wrote the line.

    `slot` is empty where it was sent to none. `upstream_status` is the last answer of a slot, None where none answered.
    """

    time: float
    slot: str
    status: int
    request_time: float
    upstream_status: int | None = None
    upstream_time: float | None = None
    request_id: str = ""
    bucket: str = ""
    method: str = ""
    path: str = ""

    @property
    def began(self) -> float:
        return self.time - self.request_time


@dataclass(frozen=True)
class Cursor:
    """A place in the log: the file (by inode, which a rotation keeps) and a byte in it."""

    inode: int
    offset: int


class AccessLog:
    """The access log at `path` and its rotated elders beside it (`path` with a suffix).

    A log that is not there is an empty one: nginx makes it with the first request. `unreadable` counts lines that
    were no sample; they are left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unreadable = 0

    def end(self) -> Cursor | None:
        """The place after what is there now; None where there is no log yet, which reads from its start."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return Cursor(status.st_ino, status.st_size)

    def since(self, cursor: Cursor | None) -> tuple[list[Sample], Cursor | None]:
        """The whole lines written since `cursor` (None: since the log's start), and the cursor for the next call.

        After a rotation the rest of the old file comes first. Where that is gone, what it held last is lost.
        """
        samples: list[Sample] = []
        for path in self._unread(cursor):
            try:
                with path.open("rb") as file:
                    cursor = self._read_on(file, cursor, samples)
            except FileNotFoundError:  # rotated between listing and opening: the next call finds it
                break
        return samples, cursor

    def window(self, start: float, end: float) -> list[Sample]:
        """Every request that began at or after `start` and ended by `end` (Unix seconds), in the log's order."""
        found: list[Sample] = []
        for path in self._elders(written_after=start):
            with path.open("rb") as file:
                lines = (line for line in file if line.endswith(b"\n"))
                found += [s for s in self._parsed(lines) if s.began >= start and s.time <= end]
        return found

    def _unread(self, cursor: Cursor | None) -> list[Path]:
        """The files to read from, oldest first: the cursor's own, and those after it."""
        if cursor is None:
            return [self.path]
        files = self._elders()
        inodes = [path.stat().st_ino for path in files]
        return files[inodes.index(cursor.inode) :] if cursor.inode in inodes else [self.path]

    def _elders(self, written_after: float = 0.0) -> list[Path]:
        """The log and its rotated forms, oldest first; the current one is last whatever its time says."""
        rotated = [p for p in self.path.parent.glob(f"{self.path.name}?*") if p.suffix not in (".gz", ".zst", ".bz2")]
        known = [(path.stat().st_mtime, path) for path in rotated]
        files = [path for written, path in sorted(known) if written >= written_after]
        return [*files, self.path] if self.path.exists() else files

    def _read_on(self, file: BinaryIO, cursor: Cursor | None, into: list[Sample]) -> Cursor:
        import os

        status = os.fstat(file.fileno())
        offset = cursor.offset if cursor is not None and cursor.inode == status.st_ino else 0
        if offset > status.st_size:  # truncated in place
            offset = 0
        file.seek(offset)
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        into += self._parsed(iter(whole.splitlines()))
        return Cursor(status.st_ino, offset + len(whole))

    def _parsed(self, lines: Iterator[bytes]) -> Iterator[Sample]:
        for line in lines:
            if not line.strip():
                continue
            try:
                yield parse(line)
            except (ValueError, TypeError, KeyError):
                self.unreadable += 1


def parse(line: bytes) -> Sample:
    """One line of the log. Raises ValueError, TypeError or KeyError where it is none.

    After a retry `upstream_status` and `upstream_response_time` are lists (`502, 200`; groups joined by ` : `).
    """
    fields: dict[str, Any] = json.loads(line.decode("utf-8", "replace"))
    statuses = [int(part) for part in _parts(fields.get("upstream_status"))]
    times = [float(part) for part in _parts(fields.get("upstream_response_time"))]
    return Sample(
        time=float(fields["time"]),
        slot=str(fields.get("slot") or ""),
        status=int(fields["status"]),
        request_time=float(fields["request_time"]),
        upstream_status=statuses[-1] if statuses else None,
        upstream_time=sum(times) if times else None,
        request_id=str(fields.get("request_id") or ""),
        bucket=str(fields.get("bucket") or ""),
        method=str(fields.get("method") or ""),
        path=str(fields.get("path") or ""),
    )


def _parts(text: Any) -> list[str]:
    parts = str("" if text is None else text).replace(" : ", ",").split(",")
    return [part.strip() for part in parts if part.strip() not in ("", "-")]
