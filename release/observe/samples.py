"""Samples: what nginx's JSON access log says of each request. Reading the log, also across its rotation.

The log's bytes may be no UTF-8 (nginx copies what clients send), its last line may be half written.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_PACKED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True, slots=True)
class Sample:
    """One request through the proxy. Times in seconds; `time` (Unix) is its end, when nginx wrote the line.

    `slot` is `none` or empty where it was sent to none. `upstream_status` is the last answer of a slot, None where none
    answered. `upstream_time` is until the slot's answer ended, or had to be given up; `answer_time` until its head was
    there, None where none came (and in logs of a configuration that did not tell it).
    """

    time: float
    slot: str
    status: int
    request_time: float
    upstream_status: int | None = None
    upstream_time: float | None = None
    answer_time: float | None = None
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
        """The place after what is there now; None where there is nothing yet."""
        with self._files() as files:
            if not files:
                return None
            status = os.fstat(files[-1].fileno())
            return Cursor(status.st_ino, status.st_size)

    def since(self, cursor: Cursor | None) -> tuple[list[Sample], Cursor | None]:
        """The whole lines written since `cursor` (None: all there are), and the cursor for the next call.

        After a rotation the rest of the old file comes first. Where that is gone, what it held last is lost.
        """
        samples: list[Sample] = []
        with self._files() as files:
            inodes = [os.fstat(file.fileno()).st_ino for file in files]
            first = 0
            if cursor is not None:
                first = inodes.index(cursor.inode) if cursor.inode in inodes else len(files) - 1
            for file in files[max(0, first) :]:
                more, cursor = self._read_on(file, cursor)
                samples += more
        return samples, cursor

    def follow(self, start: float) -> tuple[list[Sample], Cursor | None]:
        """Every request so far that began at or after `start` (Unix seconds), and the cursor that goes on from there:
        between the two no line is lost and none comes twice."""
        found: list[Sample] = []
        cursor: Cursor | None = None
        with self._files() as files:
            for file in files:
                status = os.fstat(file.fileno())
                cursor = Cursor(status.st_ino, 0 if status.st_mtime >= start else status.st_size)
                samples, cursor = self._read_on(file, cursor)
                found += [sample for sample in samples if sample.began >= start]
        return found, cursor

    def window(self, start: float, end: float) -> list[Sample]:
        """Every request that began at or after `start` and ended by `end` (Unix seconds), in the log's order."""
        return [sample for sample in self.follow(start)[0] if sample.time <= end]

    @contextlib.contextmanager
    def _files(self) -> Iterator[list[BinaryIO]]:
        """The log and its rotated forms, open, the current one last. Listed again where a rotation came between."""
        with contextlib.ExitStack() as stack:
            while True:
                files: list[BinaryIO] = []
                with contextlib.suppress(FileNotFoundError):
                    for path in self._listed():
                        files.append(stack.enter_context(path.open("rb")))
                    if [os.fstat(file.fileno()).st_ino for file in files] == list(self._listed().values()):
                        break
                stack.close()
            yield files

    def _listed(self) -> dict[Path, int]:
        """Paths and inodes, oldest first by when they were last written; the current log is last whatever its time."""
        found: list[tuple[bool, float, Path, int]] = []
        for path in self.path.parent.glob(f"{self.path.name}*"):
            if path.suffix in _PACKED:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((path == self.path, status.st_mtime, path, status.st_ino))
        return {path: inode for _, _, path, inode in sorted(found)}

    def _read_on(self, file: BinaryIO, cursor: Cursor | None) -> tuple[Iterator[Sample], Cursor]:
        status = os.fstat(file.fileno())
        offset = cursor.offset if cursor is not None and cursor.inode == status.st_ino else 0
        if offset > status.st_size:  # truncated in place
            offset = 0
        file.seek(offset)
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        return self._parsed(whole.split(b"\n")), Cursor(status.st_ino, offset + len(whole))

    def _parsed(self, lines: Iterable[bytes]) -> Iterator[Sample]:
        for line in lines:
            if not line.strip():
                continue
            try:
                yield parse(line)
            except (ValueError, TypeError, KeyError):
                self.unreadable += 1


def parse(line: bytes) -> Sample:
    """One line of the log. Raises ValueError, TypeError or KeyError where it is none.

    After a retry the upstream's status and times are lists (`502, 200`; groups joined by ` : `).
    """
    fields: Any = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(fields, dict):
        raise TypeError("no JSON object")
    statuses = [int(part) for part in _parts(fields.get("upstream_status")) if part != "-"]
    times = [0.0 if part == "-" else float(part) for part in _parts(fields.get("upstream_response_time"))]
    heads = [None if part == "-" else float(part) for part in _parts(fields.get("upstream_header_time"))]
    return Sample(
        time=float(fields["time"]),
        slot=str(fields.get("slot") or ""),
        status=int(fields["status"]),
        request_time=float(fields["request_time"]),
        upstream_status=statuses[-1] if statuses else None,
        upstream_time=sum(times) if times else None,
        answer_time=sum(times[:-1]) + heads[-1] if heads and heads[-1] is not None else None,
        request_id=str(fields.get("request_id") or ""),
        bucket=str(fields.get("bucket") or ""),
        method=str(fields.get("method") or ""),
        path=str(fields.get("path") or ""),
    )


def _parts(text: Any) -> list[str]:
    """One part for each try, `-` where nothing came of it; none at all where no slot was asked."""
    parts = [part.strip() for part in str("" if text is None else text).replace(" : ", ",").split(",")]
    return [part for part in parts if part] if any(part not in ("", "-") for part in parts) else []
