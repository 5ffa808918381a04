"""Rotation of nginx's logs: renamed by number, oldest dropped, and nginx told to open new ones by whoever runs it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

LIMIT = 64 << 20  # bytes at which a log is worth rotating
KEEP = 5


def due(directory: Path, limit: int) -> list[Path]:
    """The logs that have reached `limit` bytes."""
    return [log for log in _logs(directory) if log.stat().st_size >= limit]


def shift(log: Path, keep: int = KEEP) -> None:
    """`access.json` → `access.json.1` → `.2` …; the one beyond `keep` goes. nginx writes on into the renamed file
    until it is told to open its logs again. Raises OSError."""
    numbered = [log, *(log.with_name(f"{log.name}.{number}") for number in range(1, keep + 1))]
    for older, newer in zip(reversed(numbered), reversed(numbered[:-1]), strict=False):
        if newer.exists():
            newer.replace(older)


def await_reopened(shifted: Sequence[Path], patience: float = 2.0) -> None:
    """Waits until nginx has made the renamed logs anew: from then on it writes to those."""
    deadline = time.monotonic() + patience
    while not all(log.exists() for log in shifted) and time.monotonic() < deadline:
        time.sleep(0.005)


def _logs(directory: Path) -> list[Path]:
    return [log for name in ("access.json", "error.log") if (log := directory / name).exists()]
