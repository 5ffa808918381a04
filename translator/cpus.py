"""How many processors this process may use: what its control group grants, and no more than it may run on."""

from __future__ import annotations

import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MOST_THREADS = 4  # a request has no work for more


def granted(groups: Path = GROUPS) -> float | None:
    """Processors that the control group grants (`docker run --cpus 1.5` → 1.5), version 2 or 1; None for no limit.

    Source: the kernel's documentation of cgroup v2 (`cpu.max`: quota and period in µs) and v1 (`cpu.cfs_quota_us`).
    """
    try:
        quota, period = (groups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (groups / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (groups / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 else None
    except (ValueError, ZeroDivisionError):  # "max"
        return None


def threads(limit: float | None, processors: int) -> int:
    """Threads of computation: whole processors of the limit, at least one, at most `MOST_THREADS`."""
    whole = processors if limit is None else min(processors, int(limit))
    return max(1, min(whole, MOST_THREADS))


def default_threads() -> int:
    """As many as this process has processors for."""
    return threads(granted(), len(os.sched_getaffinity(0)))
