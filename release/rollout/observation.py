"""Watching the live slot after a switch: back at once when the guard trips, unless going back would help nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from release.checks.base import Subject
from release.checks.traffic import sends, top_up
from release.engine.base import State
from release.errors import EngineError, Refused
from release.notify import Occasion
from release.observe.budget import Budget
from release.observe.guard import EngineFacts, Guard, Trip
from release.observe.readiness import probe
from release.pipeline.events import Said, StepProgress, VerdictGiven
from release.pipeline.step import Skip
from release.rollout.deployment import Deployment
from release.verdict import Outcome, Verdict

LOOK_EVERY = 0.5  # seconds between two looks at the log
ASK_EVERY = 1.0  # seconds between two questions to engine and readiness
LINES_WITHIN = 5.0  # seconds within which nginx, which writes a request's line once it is over, has written all
_LATE = 600.0  # seconds after an observation's end until which a recovery may still move traffic by itself


@dataclass(frozen=True)
class Replayed:
    """What an interrupted observation comes to: go back, or stay (`complete`: watched to its end and good)."""

    back: bool
    complete: bool
    reason: str


class Observation:
    """Watches for the stated time. The verdict is pass (good), no data (unobserved), or fail (traffic goes back)."""

    name = "observe"
    commits = False

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        settings = hands.manifest.rollout.observe
        if settings.for_ == 0:
            return Skip("rollout.observe.for is 0: nobody watches after the switch")
        guard = new_guard(deployment)
        held = self._watch(guard, float(deployment.fact("switched_at")) + settings.for_)
        verdict = guard.verdict()
        hands.ledger.save_verdict(deployment.id, verdict)
        hands.report(VerdictGiven(verdict))
        if verdict.outcome is Outcome.PASS:
            return verdict.reason
        reason = f"{verdict.reason} ({held})" if held else verdict.reason
        deployment.remember(unobserved=reason)
        return f"unobserved: {reason}"

    def undo(self) -> str | None:
        return None

    def _watch(self, guard: Guard, end: float) -> str:
        """Looks until `end`; raises Refused where the guard trips. Gives the reason why a trip was not acted on."""
        deployment, hands = self._deployment, self._deployment.hands
        held = ""
        for _ in self._looks(guard, end):
            decision = guard.decide()
            if isinstance(decision, Trip) and not held:
                held = self._why_not_back()
                if not held:
                    hands.ledger.save_verdict(deployment.id, guard.verdict())
                    raise Refused(f"the guard tripped: {decision.reason}", hint="`release report` shows the evidence")
                text = f"the guard tripped ({decision.reason}); traffic stays, because {held}"
                hands.report(Said(text, "error"))
                hands.notify(Occasion.HELD, deployment.release, text, deployment.release)
            counts, left = guard.counts, max(0.0, end - time.time())
            text = f"{counts.requests} requests, {counts.errors} errors, {left:.0f} s to go"
            hands.report(StepProgress(self.name, text))
        return held

    def _looks(self, guard: Guard, end: float) -> Iterator[None]:
        """Feeds the guard and yields after each look; near the end it asks for the requests that are still missing."""
        deployment, hands = self._deployment, self._deployment.hands
        log = hands.access_log()
        guard.engine(EngineFacts(True, 0, str(deployment.fact("pid_token", ""))))
        samples, cursor = log.follow(guard.since)
        guard.add(samples)
        asked = 0.0
        lines_until: float | None = None  # set once the missing requests have been sent
        while True:
            deployment.require_traffic()
            if time.monotonic() - asked >= ASK_EVERY:
                guard.engine(engine_facts(deployment))
                asked = time.monotonic()
            samples, cursor = log.since(cursor)
            guard.add(samples)
            yield
            if time.time() >= end:
                missing = guard.budget.min_requests - guard.counts.requests
                if missing <= 0 or (lines_until is not None and time.monotonic() >= lines_until):
                    return
                if lines_until is None:
                    if self._top_up(missing) == 0:
                        return
                    lines_until = time.monotonic() + LINES_WITHIN
                hands.interruption.sleep(0.3)
                continue
            hands.interruption.sleep(min(LOOK_EVERY, max(0.0, end - time.time())))

    def _top_up(self, missing: int) -> int:
        """Sends requests of the benchmark set through the public listener; gives how many were sent."""
        deployment, hands = self._deployment, self._deployment.hands
        subject = Subject(
            candidate=deployment.candidate_target(),
            live=None,
            tree=deployment.tree,
            work=deployment.tree,
            progress=lambda text: hands.report(StepProgress(self.name, text)),
            alive=deployment.require_traffic,
        )
        what = sends(hands.manifest)
        hands.report(Said(f"{missing} more requests are needed: {what} through the public listener"))
        return top_up(hands.manifest, hands.proxy.public_url, subject, missing)

    def _why_not_back(self) -> str:
        return why_not_back(self._deployment)


def new_guard(deployment: Deployment) -> Guard:
    settings = deployment.hands.manifest.rollout.observe
    budget = Budget(settings.max_error_rate, settings.p95, settings.min_requests)
    return Guard(deployment.slot, budget, float(deployment.fact("switched_at", deployment.fact("switching_at", 0.0))))


def engine_facts(deployment: Deployment) -> EngineFacts:
    """What the engine and the readiness path say of the candidate now."""
    try:
        instance = deployment.candidate()
    except EngineError as error:
        # The engine being away is no fact about the candidate: it may serve on without it.
        return EngineFacts(True, 0, str(deployment.fact("pid_token", "")), None, error.message)
    if instance is None:
        return EngineFacts(False, detail="its container is gone")
    path = deployment.hands.manifest.checks.health.path
    answer = probe(f"{deployment.candidate_target().url}{path}", 2.0)
    running = instance.state is State.RUNNING
    return EngineFacts(running, instance.restarts, instance.pid_token, answer.ready, answer.detail)


def why_not_back(deployment: Deployment) -> str:
    """The reason why going back would not help; empty where it would."""
    if deployment.row.previous_release is None:
        return "there is no release before this one to go back to"
    if deployment.hands.manifest.rollout.rollback_barrier:
        return f"{deployment.release} is a rollback barrier"
    live = deployment.live_target()
    assert live is not None
    answer = probe(f"{live.url}{deployment.hands.manifest.checks.health.path}", 1.0)
    if not answer.ready:
        return f"{live.release}, the release to go back to, {answer.detail} either"
    return ""


def replay(deployment: Deployment, now: float) -> Replayed:
    """The guard over the logged window of an observation whose process died."""
    settings = deployment.hands.manifest.rollout.observe
    guard = new_guard(deployment)
    end = guard.since + settings.for_
    guard.add(deployment.hands.access_log().window(guard.since, min(now, end)))
    first = EngineFacts(True, 0, str(deployment.fact("pid_token", "")))
    guard.engine(first)
    guard.engine(engine_facts(deployment))
    verdict = guard.verdict()
    deployment.hands.ledger.save_verdict(deployment.id, verdict)
    return _judge(verdict, deployment, now, end)


def _judge(verdict: Verdict, deployment: Deployment, now: float, end: float) -> Replayed:
    if verdict.outcome is Outcome.FAIL:
        held = why_not_back(deployment)
        if not held and now > end + _LATE:
            held = "its observation ended long ago, and production is not moved silently that late"
        return Replayed(not held, False, f"{verdict.reason}; {held}" if held else verdict.reason)
    if now < end:
        return Replayed(False, False, f"its observation was cut short {end - now:.0f} s before its end")
    return Replayed(False, verdict.outcome is Outcome.PASS, verdict.reason)
