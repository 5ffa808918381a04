"""The audit trail: who did or tried what, when, why, and with which result. JSON lines, only ever appended to."""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelhost.errors import ConfigError, Unavailable
from modelhost.registry.durable import append_line

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Action:
    """One act of an operator. `who` is empty where no valid token came; `result`: done, refused or failed.

    One that may take long has a line `begun` as well, of the same `id` and without a status; where no other follows,
    its process was killed. `at`: when it began, of a `begun` line, and when it ended, of any other.
    """

    what: str
    client: str = ""
    who: str = ""
    role: str = ""
    target: Any = None
    why: str = ""
    result: str = "done"
    status: int | None = 200
    error: str = ""
    generation: int | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def begun(self) -> Action:
        """What is known of it before its end, as a line of its own."""
        return replace(self, result="begun", status=None)

    def line(self) -> bytes:
        """One JSON object and a newline."""
        plain = {
            "at": self.at.isoformat(timespec="milliseconds"),
            **{k: v for k, v in asdict(self).items() if k != "at"},
        }
        return (json.dumps(plain, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


class Strangers:
    """Who has no valid token gets `most` lines in `seconds`, so that nobody fills the disk; the next line says how many
    more there were."""

    def __init__(self, most: int = 60, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._since = clock()
        self._written = self._unwritten = 0

    def admit(self, action: Action) -> bool:
        """Whether this one gets a line. Called in the event loop alone."""
        if self._clock() - self._since >= self._seconds:
            self._since, self._written = self._clock(), 0
        if self._written >= self._most:
            self._unwritten += 1
            return False
        self._written += 1
        if self._unwritten:
            action.error += f" ({self._unwritten} more without a valid token have no line)"
            self._unwritten = 0
        return True


class Audit:
    """Writes actions to `path`, each durable on return. Several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def demand_file(self) -> None:
        """For a configuration that names it: makes the file, and folders on the way. Raises ConfigError."""
        try:
            os.close(self._open())
        except OSError as error:
            raise ConfigError(
                f"http.audit: {self.path} cannot be written: {error.strerror}", "name a file that can be"
            ) from error

    def demand(self) -> None:
        """Raises Unavailable where nothing can be written: then nothing is done that would have to be."""
        try:
            os.close(self._open())
        except OSError as error:
            raise Unavailable(
                f"the audit trail {self.path} cannot be written: {error.strerror}",
                "nothing was done; mend it first",
                60.0,
            ) from error

    def write(self, action: Action) -> None:
        """Appends. What cannot be written is logged in full: the act has happened."""
        try:
            handle = self._open()
            try:
                append_line(handle, action.line())
            finally:
                os.close(handle)
        except OSError:
            _log.exception("the audit trail lacks: %s", action.line().decode())

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
