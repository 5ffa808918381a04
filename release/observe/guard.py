"""The guard: samples and engine facts in, one decision out: hold, trip or enough. Pure; the caller looks and acts.

What counts as an error: a 5xx, or no answer from the slot. A 499 (the client left) is none; a 4xx other than 401, 404,
429 and 499 is a metric of its own, shown and not judged. A budget trips on exact sequential evidence (`eprocess`),
never on the ratio as it stands: a healthy service looked at continuously crosses its ratio half of the time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from release.naming import Slot
from release.observe.budget import SLOW_RATE, Budget
from release.observe.eprocess import BinomialEProcess
from release.observe.evidence import Counts, percent, told
from release.observe.samples import Sample
from release.verdict import Verdict, failed, no_data, passed

_ORDINARY_REFUSALS = frozenset({401, 404, 429, 499})
_CLIENT_LEFT = 499
_SWITCHING_PROTOCOLS = 101  # a WebSocket: its time is how long it was open


@dataclass(frozen=True)
class Hold:
    """Nothing speaks against it, and `missing` more requests are needed before that means something."""

    missing: int


@dataclass(frozen=True)
class Trip:
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Enough:
    """At least the requests that the budget asks for were seen, and nothing tripped."""


Decision = Hold | Trip | Enough


@dataclass(frozen=True)
class EngineFacts:
    """What the engine and a readiness probe said at one moment; `ready` None where none was asked."""

    running: bool
    restarts: int = 0
    pid_token: str = ""
    ready: bool | None = None
    detail: str = ""


class Guard:
    """Watches one slot from `since` (Unix seconds, the switch) on. One guard a deployment; feed each sample once.

    The first engine facts are what later ones are compared with. Once tripped it stays tripped.
    """

    def __init__(self, slot: Slot, budget: Budget, since: float = 0.0) -> None:
        self.slot = slot
        self.budget = budget
        self.since = since
        self._errors = BinomialEProcess(budget.max_error_rate, budget.alpha)
        self._slow = BinomialEProcess(SLOW_RATE, budget.alpha)
        self._times = array("d")
        self._refused = self._abandoned = self._elsewhere = 0
        self._first: EngineFacts | None = None
        self._unready = 0
        self._trip: Trip | None = None

    # -- what it is told ---------------------------------------------------------------------------------------

    def add(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            if sample.slot == self.slot.value and sample.began >= self.since:
                self._add(sample)
            else:
                self._elsewhere += 1

    def engine(self, facts: EngineFacts) -> None:
        """Trips at once on a stop or a restart, and on readiness probes that fail several times in a row."""
        first = self._first = self._first or facts
        detail = f" ({facts.detail})" if facts.detail else ""
        if not facts.running:
            self._trip_on(f"the {self.slot} slot stopped running{detail}", restarts=facts.restarts)
        elif facts.restarts > first.restarts or (
            first.pid_token and facts.pid_token and facts.pid_token != first.pid_token
        ):
            self._trip_on(f"the {self.slot} slot restarted{detail}", restarts=facts.restarts - first.restarts)
        if facts.ready is not None:
            self._unready = 0 if facts.ready else self._unready + 1
        if self._unready >= self.budget.probe_failures:
            self._trip_on(f"the {self.slot} slot was not ready {self._unready} times in a row{detail}")

    # -- what it says ------------------------------------------------------------------------------------------

    def decide(self) -> Decision:
        if self._trip is not None:
            return self._trip
        missing = self.budget.min_requests - self._errors.requests
        return Hold(missing) if missing > 0 else Enough()

    @property
    def counts(self) -> Counts:
        errors = self._errors
        return Counts(errors.requests, errors.bad, self._refused, self._abandoned, self._slow.bad, self._elsewhere)

    def verdict(self) -> Verdict:
        """The verdict at the end of the observation. No data where too few requests came, or where error rate or p95
        lies over its budget without the evidence to trip: neither is a reason to go back, nor to call it good."""
        counts, budget = self.counts, self.budget
        rate = counts.errors / counts.requests if counts.requests else 0.0
        found = f"{counts.errors} errors in {counts.requests} requests"
        evidence = self.evidence()
        if self._trip is not None:
            return failed("observe", self._trip.reason, **evidence)
        if counts.requests < budget.min_requests:
            return no_data("observe", f"{found}; {budget.min_requests} are needed to tell", **evidence)
        if rate > budget.max_error_rate:
            reason = f"{found}: {rate:.2%} is over the budget of {percent(budget.max_error_rate)}, by too few to tell"
            return no_data("observe", reason, **evidence)
        if budget.p95 is not None and not self._times:
            return no_data("observe", f"{found}; none has a time that p95 could be told from", **evidence)
        if budget.p95 is not None and self._slow.bad > SLOW_RATE * self._slow.requests:
            many = f"{self._slow.bad} of {self._slow.requests} answers took longer than {budget.p95 * 1000:g} ms"
            reason = f"{many}: p95 is over its budget, by too few to tell"
            return no_data("observe", reason, **evidence)
        return passed("observe", f"{found}, budget {percent(budget.max_error_rate)}", **evidence)

    def evidence(self) -> dict[str, Any]:
        """JSON-serialisable facts; times in seconds, rates as fractions."""
        return told(self.budget, self.counts, self._times, self._errors, self._slow)

    # -- within ------------------------------------------------------------------------------------------------

    def _add(self, sample: Sample) -> None:
        if sample.status == _CLIENT_LEFT:
            self._abandoned += 1
            self._add_time(sample, left=True)
        elif sample.status >= 500:
            self._errors.worse()
            self._add_time(sample)
        elif sample.upstream_status is None:
            self._elsewhere += 1  # nginx answered by itself (413, 400): that says nothing of the slot
        else:
            self._errors.good()
            self._refused += 400 <= sample.status < 500 and sample.status not in _ORDINARY_REFUSALS
            self._add_time(sample)
        if self._trip is not None:
            return
        if self._errors.rejected:
            counts = self.counts
            self._trip_on(
                f"{counts.errors} errors in {counts.requests} requests: over the budget of"
                f" {percent(self.budget.max_error_rate)}"
            )
        if self._slow.rejected and self.budget.p95 is not None:
            self._trip_on(
                f"{self._slow.bad} of {self._slow.requests} answers took longer than {self.budget.p95 * 1000:g} ms"
                f" to begin, more than the {percent(SLOW_RATE)} that the p95 budget allows"
            )

    def _add_time(self, sample: Sample, left: bool = False) -> None:
        """How long the slot took to begin its answer: what comes after that is a stream's length, or the client's line.

        A client that left before it tells that it took at least so long: evidence where that is too long already.
        """
        if sample.status == _SWITCHING_PROTOCOLS:
            return
        waited = sample.request_time if sample.upstream_time is None else sample.upstream_time
        seconds = waited if sample.answer_time is None else sample.answer_time
        slow = self.budget.p95 is not None and seconds > self.budget.p95
        if left and not slow:
            return
        self._times.append(seconds)
        if slow:
            self._slow.worse()
        else:
            self._slow.good()

    def _trip_on(self, reason: str, **facts: Any) -> None:
        if self._trip is None:
            self._trip = Trip(reason, facts | {k: v for k, v in self.evidence().items() if k != "tables"})
