"""Where a process runs, so that others on its machine see at once that it has ended: no clock, and nobody waits a ttl.

Only on Linux, and only for processes that share their numbers with this one; of all others nothing is known here.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NUMBERS = Path("/proc/self/ns/pid")
_SELF = Path("/proc/self")
_STATE, _THREADS, _BEGAN = 0, 17, 19  # fields after the name, in proc_pid_stat(5)


class Whereabouts(BaseModel):
    """`space`: a boot of a kernel, and one of its namespaces of process numbers; `pid`: the number there; `began`: in
    clock ticks since that boot, as numbers are given out again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    space: str
    pid: int
    began: int


def here() -> Whereabouts | None:
    """Those of this process; None where the system does not say."""
    return _of(os.getpid())


def has_ended(process: Whereabouts | None) -> bool:
    """Whether that is certain."""
    own = here()
    if process is None or own is None or process.space != own.space:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it is there, and somebody else's
    try:
        fields = _fields(process.pid)
        left = fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1  # nobody has asked how it ended
        return left or int(fields[_BEGAN]) != process.began
    except (OSError, ValueError, IndexError):
        return False


@functools.lru_cache(maxsize=1)
def _of(pid: int) -> Whereabouts | None:
    try:
        if str(_SELF.readlink()) != str(pid):
            return None  # /proc has the numbers of another namespace
        space = f"{_BOOT.read_text().strip()} {_NUMBERS.readlink()}"
        return Whereabouts(space=space, pid=pid, began=int(_fields(pid)[_BEGAN]))
    except (OSError, ValueError, IndexError):
        return None


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
