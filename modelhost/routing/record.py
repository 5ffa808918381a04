"""A record of each request, one JSON line each, for analysis. It never makes a request wait and never fails one.

Records go into a bounded queue and one thread writes them; what does not fit, or cannot be written, is counted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import queue
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from modelhost.routing.rotation import RotatingLines

_log = logging.getLogger(__name__)
_BATCH = 256
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What happened to one request. `confidence` in [0, 1], None where the model has none; `latency_ms` here.

    `outcome`: `answered`, or `failed` where an exception left it. `versions`: component → version of the set that
    answered. `input_hash` is the sha256 of the input as UTF-8, `preview` its beginning, both None where the service
    names no input; the sticky key is not kept.
    """

    at: datetime
    id: str
    component: str
    version: str
    variant: str
    reason: str
    input_hash: str | None
    preview: str | None
    confidence: float | None
    latency_ms: float
    outcome: str = "answered"
    versions: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> bytes:
        """One JSON object and a newline, UTF-8."""
        document: dict[str, Any] = {
            "id": self.id,
            "at": self.at.isoformat(timespec="milliseconds"),
            "component": self.component,
            "version": self.version,
            "variant": self.variant,
            "versions": dict(self.versions),
            "reason": self.reason,
            "outcome": self.outcome,
            "input_hash": self.input_hash,
            "preview": self.preview,
            "confidence": self.confidence,
            "latency_ms": round(self.latency_ms, 3),
        }
        return (json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "backslashreplace")


def input_hash(text: str) -> str:
    """sha256 of a text in hex: finds the same input again without keeping it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def preview(text: str, characters: int) -> str:
    """The beginning of a text; an ellipsis is its last character where something was cut, "" for none at all."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)] + "…" * bool(characters)


class Recorder:
    """Writes records to `path` from a thread of its own, which starts with the first record of each process.

    `written` and `dropped` count; `queue_size` is how many may wait. After `close` every record is dropped and counted.
    """

    def __init__(self, path: Path, most_bytes: int = 64 << 20, keep: int = 3, queue_size: int = 10_000) -> None:
        self.path = path
        self._limits = most_bytes, keep
        self._queue_size = queue_size
        self._open()
        # A fork takes the queue along and not the thread: the child begins anew, and what waits is the parent's.
        myself = weakref.WeakMethod(self._open)
        os.register_at_fork(after_in_child=lambda: (reopen := myself()) and reopen())

    @property
    def dropped(self) -> int:
        """How many records are not in the file: the queue was full, the disk was, or the recorder was closed."""
        return self._full + self._lost

    def record(self, record: RequestRecord) -> bool:
        """Hand a record over; False where it was dropped. Never waits, never raises."""
        try:
            if not self._closed.is_set():
                self._waiting.put_nowait(record)
                self._start()
                return True
        except (queue.Full, RuntimeError):  # RuntimeError: no thread can be started any more
            pass
        with self._lock:
            self._full += 1
        return False

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, for at most `timeout` seconds, and stop."""
        self._closed.set()
        writer = self._writer
        if writer is not None:
            writer.join(timeout)
        with self._lock, suppress(queue.Empty):  # What came in while the writer left, or too much for the time.
            while True:
                self._waiting.get_nowait()
                self._full += 1

    def _open(self) -> None:
        self.written = 0
        self._full = 0  # by callers, under the lock
        self._lost = 0  # by the writer alone
        self._waiting: queue.Queue[RequestRecord] = queue.Queue(self._queue_size)
        self._closed = threading.Event()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failing = False

    def _start(self) -> None:
        if self._writer is None:
            with self._lock:
                if self._writer is None:
                    writer = threading.Thread(target=self._write, name="modelhost-record", daemon=True)
                    writer.start()
                    self._writer = writer

    def _write(self) -> None:
        lines = RotatingLines(self.path, *self._limits)
        try:
            while True:
                batch = self._batch()
                if batch:
                    self._append(lines, batch)
                elif self._closed.is_set():
                    return
        finally:
            lines.close()

    def _batch(self) -> list[RequestRecord]:
        batch: list[RequestRecord] = []
        with suppress(queue.Empty):
            batch.append(self._waiting.get(timeout=_POLL_SECONDS))
            while len(batch) < _BATCH:
                batch.append(self._waiting.get_nowait())
        return batch

    def _append(self, lines: RotatingLines, batch: list[RequestRecord]) -> None:
        written = [line for line in map(self._line, batch) if line]
        try:
            if written:
                lines.append(b"".join(written))
        except Exception as error:  # The thread must live on: the next batch may fit.
            self._lost += len(written)
            self._complain(error)
        else:
            self.written += len(written)
            self._failing = self._failing and not written

    def _line(self, record: RequestRecord) -> bytes:
        try:
            return record.line()
        except Exception as error:  # One that cannot be written (a confidence that is no number) loses no other.
            self._lost += 1
            self._complain(error)
            return b""

    def _complain(self, error: Exception) -> None:
        if not self._failing:  # Once, until it works again: a full disk fails every batch.
            _log.warning("requests are not recorded in %s: %s", self.path, error)
        self._failing = True
