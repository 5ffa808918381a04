"""Latency: percentiles under stated concurrency, held against a budget and against the live release, interleaved.

Candidate and live take turns in waves: `concurrency` requests at once to one, then the same to the other, in an order
drawn by a fixed seed. Both see exactly the stated concurrency, the same inputs and the same minute of this machine,
and neither slows the other down, as two services under load on one host would.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from release.checks import cases
from release.checks.base import Subject
from release.checks.http import Client, Reply, takes_source
from release.checks.lanes import Lanes
from release.checks.pace import Question, Waves, judge, settle
from release.errors import UsageError
from release.verdict import Outcome, Verdict, failed, no_data

if TYPE_CHECKING:
    from release.config.checks import Latency, Quality, Request

SEED = 12345
FEWEST_WAVES = 20  # below, the interval of a percentile is too narrow to be believed
MOST_REQUESTS = 3  # times the requests asked for, while the interval does not settle the question
MOST_FAILED = 0.01
GIVE_UP_AFTER = 20
_PERCENTILES = (50, 90, 95, 99)


class Pair:
    """One lane's connections: to the candidate and, where there is one, to live."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.clients = {role: Client(url) for role, url in urls.items()}

    def close(self) -> None:
        for client in self.clients.values():
            client.close()


@dataclass
class _Run:
    """What was measured so far, by role."""

    waves: dict[str, Waves]
    failed: dict[str, int]
    trouble: dict[str, str] = field(default_factory=dict)

    def add(self, role: str, replies: Sequence[Reply], timeout: float) -> None:
        """A failed request counts as slow as the timeout: an error that comes back at once is no fast answer."""
        self.waves[role].append([reply.seconds if reply.ok else max(reply.seconds, timeout) for reply in replies])
        for reply in replies:
            if not reply.ok:
                self.failed[role] += 1
                self.trouble[role] = reply.excerpt(120)

    def sent(self, role: str) -> int:
        return sum(len(wave) for wave in self.waves[role])


class LatencyCheck:
    """The request is the section's, else the quality check's with its cases."""

    name = "latency"

    def __init__(self, section: Latency, quality: Quality | None = None) -> None:
        self._section, self._quality = section, quality

    def run(self, subject: Subject) -> Verdict:
        try:
            request = self._request()
            sources = self._sources(subject, request)
        except UsageError as error:
            return no_data(self.name, f"latency could not be measured: {error.message}", hint=error.hint)
        urls = {"candidate": subject.candidate.url}
        if subject.live is not None:
            urls["live"] = subject.live.url
        run = _Run({role: [] for role in urls}, dict.fromkeys(urls, 0))
        size = self._section.concurrency
        least = max(FEWEST_WAVES, -(-self._section.requests // size))
        with Lanes(size, lambda: Pair(urls), subject.alive) as lanes:
            send = self._sender(lanes, request, sources)
            for role in urls:
                send(role, 0)  # opens the connections, and is not counted
            generator = random.Random(SEED)
            for number in range(least * MOST_REQUESTS):
                for role in generator.sample(sorted(urls), len(urls)):
                    if not self._hopeless(run, role):
                        run.add(role, send(role, number), request.timeout)
                subject.progress(f"latency {run.sent('candidate')}/{least * size}")
                if self._hopeless(run, "candidate"):
                    break
                if (number + 1) % least == 0 and self._settled(run, last=number + 1 == least * MOST_REQUESTS):
                    break
        return self._verdict(run, subject, request)

    def _request(self) -> Request:
        if self._section.request is not None:
            return self._section.request
        if self._quality is not None:
            return self._quality.request
        raise UsageError("no request is configured", hint="set checks.latency.request")

    def _sources(self, subject: Subject, request: Request) -> list[str]:
        """The cases' sources, shuffled by a fixed seed, so that every wave is a fair sample of them."""
        if not takes_source(request):
            return [""]
        if self._quality is None:
            raise UsageError(
                "the request contains {source} and there are no cases",
                hint="name a benchmark set under checks.quality.cases, or write a fixed request",
            )
        sources = [case.source for case in cases.load(subject.tree, self._quality.cases).cases]
        random.Random(SEED).shuffle(sources)
        return sources

    def _sender(
        self, lanes: Lanes[Pair], request: Request, sources: list[str]
    ) -> Callable[[str, int], Sequence[Reply]]:
        size = self._section.concurrency

        def send(role: str, number: int) -> Sequence[Reply]:
            texts = [sources[(number * size + lane) % len(sources)] for lane in range(size)]
            return [reply for _, reply in lanes.map(lambda pair, text: pair.clients[role].send(request, text), texts)]

        return send

    def _hopeless(self, run: _Run, role: str) -> bool:
        """So many failed that it is not asked any more: each of the rest might take its whole timeout."""
        sent, lost = run.sent(role), run.failed[role]
        return sent >= GIVE_UP_AFTER and 2 * lost > sent

    def _questions(self, run: _Run) -> list[Question]:
        questions = []
        if self._section.p95 is not None:
            questions.append(Question("budget", self._section.p95, run.waves["candidate"]))
        if self._section.ratio is not None and "live" in run.waves and not self._unfit(run, "live"):
            questions.append(Question("ratio", self._section.ratio, run.waves["candidate"], run.waves["live"]))
        return questions

    def _settled(self, run: _Run, last: bool) -> bool:
        return last or all(judge(question) is not None for question in self._questions(run))

    def _unfit(self, run: _Run, role: str) -> bool:
        return run.failed[role] > MOST_FAILED * run.sent(role)

    def _verdict(self, run: _Run, subject: Subject, request: Request) -> Verdict:
        evidence = self._evidence(run, request)
        if self._unfit(run, "candidate"):
            reason = f"{run.failed['candidate']} of {run.sent('candidate')} requests failed, more than 1 %: "
            return failed(self.name, reason + run.trouble["candidate"], **evidence)
        answers = [settle(question) for question in self._questions(run)]
        evidence["intervals"] = {answer.about: answer.facts() for answer in answers}
        sentences = [answer.sentence for answer in answers]
        outcomes = {answer.outcome for answer in answers}
        if self._section.ratio is not None and subject.live is None:
            sentences.append("the first deployment has nothing to compare with")
        elif self._section.ratio is not None and self._unfit(run, "live"):
            outcomes.add(Outcome.NO_DATA)
            lost = f"{run.failed['live']} of {run.sent('live')} requests to live failed, more than 1 %"
            sentences.append(f"no ratio: {lost}: {run.trouble['live']}")
        if not sentences:
            sentences.append(f"p95 {evidence['candidate']['p95_ms']:g} ms; no budget is set")
        outcome = next((o for o in (Outcome.FAIL, Outcome.NO_DATA) if o in outcomes), Outcome.PASS)
        if not answers and outcome is Outcome.PASS and self._section.ratio is not None:
            outcome = Outcome.SKIPPED
        return Verdict(self.name, outcome, "; ".join(sentences), evidence)

    def _evidence(self, run: _Run, request: Request) -> dict[str, Any]:
        from release.checks.statistics import percentile

        evidence: dict[str, Any] = {
            "request": f"{request.method} {request.path}",
            "concurrency": self._section.concurrency,
        }
        rows = []
        for role, waves in run.waves.items():
            values = {f"p{q}_ms": round(1000 * percentile(waves, q), 2) for q in _PERCENTILES}
            evidence[role] = values | {"requests": run.sent(role), "failed": run.failed[role]}
            numbers = [f"{values[f'p{q}_ms']:.1f}" for q in _PERCENTILES]
            rows.append([role, str(run.sent(role)), str(run.failed[role]), *numbers])
        columns = ["", "requests", "failed", *(f"p{q} ms" for q in _PERCENTILES)]
        evidence["tables"] = [{"title": "Latency", "columns": columns, "rows": rows}]
        return evidence
