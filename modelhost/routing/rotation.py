"""A file of lines that several processes append to and that starts anew at a size: `name`, `name.1`, `name.2` …"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_MODE = 0o600  # lines hold what people wrote


class RotatingLines:
    """Appends whole lines. `most_bytes`: at which the file is renamed away; `keep`: how many such files stay.

    Not for several threads. Every method but `close` may raise OSError.
    """

    def __init__(self, path: Path, most_bytes: int, keep: int) -> None:
        self.path, self.most_bytes, self.keep = path, most_bytes, keep
        self._file: int | None = None

    def open(self) -> None:
        """Make the file, and folders on the way, where they are not there."""
        self._current()

    def append(self, lines: bytes) -> None:
        """One write: lines of several processes do not mix. A write cut short (a full disk) is taken back."""
        file = self._current()
        size = os.fstat(file).st_size
        if size and size + len(lines) > self.most_bytes:
            self._rotate(file)
            file = self._current()
        written = os.write(file, lines)
        if written < len(lines):
            with suppress(OSError):
                os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError(f"only {written} of {len(lines)} bytes fitted into {self.path.name}")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _current(self) -> int:
        """The file under the path, which another process may have rotated, or a person removed."""
        if self._file is not None and not self._is_current(self._file):
            self.close()
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return self._file

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self, file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)  # The second of two processes finds that the first has rotated.
        try:
            if not self._is_current(file):
                return
            for number in range(self.keep, 0, -1):
                source = self._numbered(number - 1)
                if source.exists():
                    source.replace(self._numbered(number))
            if not self.keep:
                self.path.unlink()
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path
