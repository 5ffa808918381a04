"""Health: the candidate becomes ready in time, and stays ready for a moment.

That it is still the same container is asked through `Subject.alive`, which raises once the engine sees a restart.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from release.checks.base import Subject
from release.checks.http import Client, Reply
from release.checks.lanes import Lanes
from release.verdict import Verdict, failed, passed

if TYPE_CHECKING:
    from release.config.checks import Health

_POLL = 0.1  # seconds between two questions; less at first, so that a service that starts at once waits for nothing
_SOONEST = 0.01
_LONGEST_QUESTION = 5.0  # seconds; a health path that takes longer is not ready


@dataclass
class _Watch:
    """What was seen so far; times in seconds since the first question."""

    attempts: int = 0
    ready_at: float | None = None  # begin of the present unbroken readiness
    first_ready: float | None = None
    relapses: int = 0
    last: Reply | None = None

    def see(self, reply: Reply, at: float, limit: float) -> None:
        """`limit` is how long the reply was waited for, in seconds."""
        self.attempts += 1
        if reply.ok:
            self.ready_at = at if self.ready_at is None else self.ready_at
            self.first_ready = at if self.first_ready is None else self.first_ready
            return
        self.relapses += self.ready_at is not None
        self.ready_at = None
        cut = limit < _LONGEST_QUESTION and reply.status is None and reply.seconds >= limit
        if self.last is None or not cut:  # one that the end of the check cut short says less than the one before
            self.last = reply

    def evidence(self, path: str) -> dict[str, object]:
        return {
            "path": path,
            "attempts": self.attempts,
            "seconds_to_ready": None if self.first_ready is None else round(self.first_ready, 3),
            "relapses": self.relapses,
            "last_trouble": self.last.excerpt() if self.last else None,
        }


class HealthCheck:
    """Passes once the path has answered 2xx within `timeout` and ever since for `settle`.

    A relapse starts the settling again; readiness that has not settled `settle` after `timeout` fails.
    """

    name = "health"

    def __init__(self, section: Health) -> None:
        self._section = section

    def run(self, subject: Subject) -> Verdict:
        watch, section = _Watch(), self._section
        begin = time.monotonic()
        with Lanes(1, lambda: Client(subject.candidate.url), subject.alive) as lanes:
            while True:
                left = begin + section.timeout + section.settle - time.monotonic()
                limit = min(_LONGEST_QUESTION, max(left, _POLL))
                reply = lanes.one(lambda client, t: client.get(section.path, t), limit)
                watch.see(reply, time.monotonic() - begin, limit)
                now = time.monotonic() - begin
                if watch.ready_at is not None and now - watch.ready_at >= section.settle:
                    return self._ready(watch)
                if now >= section.timeout + section.settle or (watch.ready_at is None and now >= section.timeout):
                    return self._not_ready(watch)
                subject.progress(self._line(watch, now))
                time.sleep(min(_POLL, _SOONEST + now / 10))

    def _line(self, watch: _Watch, now: float) -> str:
        state = "ready, settling" if watch.last is None or watch.ready_at is not None else watch.last.excerpt(60)
        return f"health {now:.0f} s: {state}"

    def _ready(self, watch: _Watch) -> Verdict:
        again = f"; it had relapsed {watch.relapses} times before" if watch.relapses else ""
        reason = f"ready after {watch.first_ready or 0:.1f} s and for {self._section.settle:g} s since{again}"
        return passed(self.name, reason, **watch.evidence(self._section.path))

    def _not_ready(self, watch: _Watch) -> Verdict:
        last = watch.last.excerpt() if watch.last else "no answer"
        if watch.first_ready is None:
            reason = f"not ready within {self._section.timeout:g} s: GET {self._section.path} → {last}"
        else:
            reason = f"ready after {watch.first_ready:.1f} s, but it did not stay so: GET {self._section.path} → {last}"
        return failed(self.name, reason, **watch.evidence(self._section.path))
