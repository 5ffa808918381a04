"""Freeze windows: times in which nobody deploys without a reason. Pure: the time is handed in. Rollback never asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from release.config.rollout import Freeze
from release.errors import Refused

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def active(windows: Sequence[Freeze], now: datetime) -> Freeze | None:
    """The window that `now` (local time) lies in. One whose end is before its begin reaches into the next day."""
    return next((window for window in windows if _within(window, now)), None)


def require_open(windows: Sequence[Freeze], now: datetime) -> None:
    """Raises Refused within a window."""
    window = active(windows, now)
    if window is not None:
        reason = f": {window.reason}" if window.reason else ""
        raise Refused(
            f"deployments are frozen from {window.from_} to {window.to}{reason}",
            hint="wait for its end, or say why it cannot wait: --ignore-freeze 'the reason'; rollback is never frozen",
        )


def _within(window: Freeze, now: datetime) -> bool:
    minute = now.hour * 60 + now.minute
    begin, end = _minutes(window.from_), _minutes(window.to)
    if begin < end:
        return _on(window, now.weekday()) and begin <= minute < end
    return (_on(window, now.weekday()) and minute >= begin) or (_on(window, now.weekday() - 1) and minute < end)


def _on(window: Freeze, weekday: int) -> bool:
    return not window.days or _DAYS[weekday % 7] in window.days


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
