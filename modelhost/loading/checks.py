"""What is asked of a version before its files are read into memory: integrity, environment, no code in the weights."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping

from modelhost.errors import IntegrityError
from modelhost.loading.lease import Key
from modelhost.metadata import Environment
from modelhost.registry.base import Entry
from modelhost.registry.environment import DEFAULT_RULE, EnvironmentRule, check_environment
from modelhost.registry.pickles import refuse_pickles
from modelhost.registry.verify import check_files

Signature = tuple[tuple[str, int, int, int, int, int], ...]
"""Path, device, inode, size, time of the last write and of the last change of each file."""

_LOOKS = 3  # another process may heal a copy that several share while it is read here, and so may this one


class Integrity:
    """Fast hashes (about 0.2 s for 1 GB), once for files that nobody has touched since.

    A version's directory is immutable, so files with the same inodes, sizes and times are those that were read before:
    a swap back to a version seen today does not pay again. `check_files(entry, full=True)` trusts nothing. A copy that
    was healed is another one, and looked at again.
    """

    def __init__(self) -> None:
        self._seen: dict[Key, Signature] = {}
        self._lock = threading.Lock()

    def __call__(self, entry: Entry) -> None:
        """Raises IntegrityError, naming each file that is not as published."""
        key = entry.component, entry.version
        for _ in range(_LOOKS):
            before = _signature(entry)
            with self._lock:
                if before is not None and self._seen.get(key) == before:
                    return
            check_files(entry)
            if before is not None and _signature(entry) == before:
                with self._lock:
                    self._seen[key] = before
                return
        raise IntegrityError(
            f"the files of {entry.component} {entry.version} changed while they were read",
            "a version's directory arrives by rename and is never written to",
        )


def standard(
    *,
    rule: EnvironmentRule = DEFAULT_RULE,
    running: Environment | None = None,
    pickles: Mapping[str, Collection[str]] | None = None,
) -> tuple[Callable[[Entry], None], ...]:
    """The checks that every load should pass, the cheap ones first.

    `rule`: how close the libraries must be; `running`: None for this interpreter's own; `pickles`: component → names of
    files that may be pickles.
    """
    allowed = pickles or {}

    def environment(entry: Entry) -> None:
        check_environment(f"{entry.component} {entry.version}", entry.info.environment, running, rule)

    integrity = Integrity()

    def no_code(entry: Entry) -> None:
        """After the integrity check: it reads what is there."""
        files = {file.path: entry.path / file.path for file in entry.info.files}
        refuse_pickles(files, allowed.get(entry.component, ()))

    return environment, integrity, no_code


def _signature(entry: Entry) -> Signature | None:
    """None where a file is missing or cannot be looked at. The time of a change cannot be set back by `touch`."""
    marks = []
    for path in sorted([entry.path, *(entry.path / file.path for file in entry.info.files)]):
        try:
            stat = os.lstat(path)
        except OSError:
            return None
        marks.append((str(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return tuple(marks)
