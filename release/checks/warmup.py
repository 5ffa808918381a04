"""Warm-up: real requests until latency settles, so that the first users are not the ones who pay for cold caches."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from release.checks import cases
from release.checks.base import Subject
from release.checks.http import Client, Reply, takes_source
from release.checks.lanes import Lanes
from release.errors import UsageError
from release.verdict import Verdict, failed, no_data, passed, skipped

if TYPE_CHECKING:
    from release.config.checks import Health, Quality, Request, WarmUp

WINDOW = 5  # requests whose median is compared with that of as many before
SETTLED = 0.2  # the two medians differ by at most this fraction


class WarmUpCheck:
    """Passes when at least half of the requests succeeded, settled or not; latency is judged elsewhere.

    The request is the section's, else the quality check's with its cases, else GET of the health path.
    """

    name = "warmup"

    def __init__(self, section: WarmUp, health: Health, quality: Quality | None = None) -> None:
        self._section, self._health, self._quality = section, health, quality

    def run(self, subject: Subject) -> Verdict:
        if self._section.requests == 0:
            return skipped(self.name, "no requests are asked for (checks.warmup.requests: 0)")
        request = self._request()
        try:
            sources = self._sources(subject, request)
        except UsageError as error:
            return no_data(self.name, f"no warm-up request could be sent: {error.message}", hint=error.hint)
        replies: list[Reply] = []
        with Lanes(1, lambda: Client(subject.candidate.url), subject.alive) as lanes:
            for number in range(self._section.requests):
                replies.append(lanes.one(lambda c, s: c.send(request, s), sources[number % len(sources)]))
                subject.progress(f"warmup {number + 1}/{self._section.requests}")
                if settled([reply.seconds for reply in replies if reply.ok]):
                    break
        return self._judge(request, replies)

    def _request(self) -> Request:
        from release.config.checks import Request

        if self._section.request is not None:
            return self._section.request
        return self._quality.request if self._quality else Request(method="GET", path=self._health.path)

    def _sources(self, subject: Subject, request: Request) -> list[str]:
        if not takes_source(request):
            return [""]
        if self._quality is None:
            raise UsageError(
                "the request contains {source} and there are no cases",
                hint="name a benchmark set under checks.quality.cases, or write a fixed request",
            )
        return [case.source for case in cases.load(subject.tree, self._quality.cases).cases]

    def _judge(self, request: Request, replies: list[Reply]) -> Verdict:
        bad = [reply for reply in replies if not reply.ok]
        good = [reply.seconds * 1000 for reply in replies if reply.ok]
        evidence: dict[str, Any] = {
            "request": f"{request.method} {request.path}",
            "requests": len(replies),
            "failed": len(bad),
            "first_ms": round(good[0], 2) if good else None,
            "last_median_ms": round(median(good[-WINDOW:]), 2) if good else None,
            "settled": settled([ms / 1000 for ms in good]),
            "last_trouble": bad[-1].excerpt() if bad else None,
        }
        if 2 * len(bad) > len(replies):
            reason = f"{len(bad)} of {len(replies)} requests failed: {request.method} {request.path} → "
            return failed(self.name, reason + bad[-1].excerpt(), **evidence)
        some = f"; {len(bad)} of them failed" if bad else ""
        course = f"{good[0]:.0f} ms at first, {median(good[-WINDOW:]):.0f} ms at the end"
        state = "settled" if evidence["settled"] else "had not settled"
        return passed(self.name, f"latency {state} after {len(replies)} requests ({course}){some}", **evidence)


def settled(seconds: list[float]) -> bool:
    """True once the median of the last WINDOW latencies is within SETTLED of that of the WINDOW before."""
    if len(seconds) < 2 * WINDOW:
        return False
    before, after = median(seconds[-2 * WINDOW : -WINDOW]), median(seconds[-WINDOW:])
    return abs(after - before) <= SETTLED * before
