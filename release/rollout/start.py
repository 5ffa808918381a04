"""The step start: the candidate runs in the idle slot, where nobody is sent yet."""

from __future__ import annotations

import contextlib
import time

from release.engine.base import Instance
from release.errors import EngineError, LedgerError, ProxyError, Refused
from release.ledger.records import Kind
from release.observe.readiness import probe
from release.pipeline.events import Excerpt, Said
from release.pipeline.step import Skip
from release.rollout import instances
from release.rollout.deployment import Deployment
from release.rollout.draining import await_drained, drain
from release.rollout.hands import Plan

_LONGEST_STOP = 10.0  # seconds at most that a standby is waited for which a run had asked to stop before it died


class Start:
    """Starts the candidate in the idle slot; the standby that sat there is stopped and kept."""

    name = "start"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        manifest = hands.manifest
        occupants = self._claim()
        for occupant in occupants:
            hands.engine.keep(occupant.id, False)
            hands.engine.stop(occupant.id, manifest.container.stop_timeout)
        deployment.check_epoch()
        spec = instances.specification(
            manifest,
            release=deployment.release,
            commit=self._plan.commit,
            deployment=deployment.id,
            slot=deployment.slot,
            image_id=deployment.fact("image_id"),
            secrets=instances.read_secrets(manifest),
        )
        instance = hands.engine.start(spec)
        deployment.remember(candidate=instance.id, pid_token=instance.pid_token, stopping=[])
        standby = f"; standby {occupants[0].release} stopped and kept" if occupants else ""
        return f"{instance.name} in {deployment.slot} on 127.0.0.1:{deployment.port}{standby}"

    def _claim(self) -> list[Instance]:
        """What sits in the slot and has to stop. From here on, by the fact `stopping`, no rollback sends traffic there:
        both sides look and write under the traffic lock."""
        deployment, hands = self._deployment, self._deployment.hands
        await_drained(deployment)
        with hands.traffic_lock():
            deployment.check_epoch()
            traffic = deployment.traffic()
            if traffic is not None and traffic.share(deployment.slot) > 0:
                raise ProxyError(
                    f"{deployment.slot} serves, so no candidate can be started there",
                    hint="traffic was moved while this run began: `release status`, then deploy again",
                )
            mine = hands.engine.instances(hands.manifest.scope)
            occupants = [i for i in mine if i.slot is deployment.slot and i.runs]
            ids = [i.id for i in occupants]
            deployment.remember(displaced=ids, stopping=ids, candidate_expected=True)
        return occupants

    def undo(self) -> str | None:
        """Keeps the candidate's log, removes its container, and starts the standby again that it displaced."""
        deployment, engine = self._deployment, self._deployment.hands.engine
        if not deployment.fact("candidate_expected"):
            return None
        if deployment.serves():
            raise Refused(
                f"{deployment.release} still serves, so its container is left running",
                hint="`release doctor` shows what serves; `release rollback` moves traffic",
            )
        drain(deployment)
        removed = []
        for instance in deployment.own_instances():
            _keep_log(deployment, instance)
            engine.remove(instance.id)
            removed.append(instance.name)
        back = self._bring_back()
        with contextlib.suppress(LedgerError):
            deployment.remember(stopping=[])
        return "; ".join(filter(None, [f"removed {', '.join(removed)}" if removed else "", back]))

    def _bring_back(self) -> str:
        """The slot may be wanted meanwhile by the rollback that superseded this run: then it stays as it is."""
        deployment, engine = self._deployment, self._deployment.hands.engine
        scope = deployment.hands.manifest.scope
        self._await_stopping()
        if any(i.slot is deployment.slot and i.runs for i in engine.instances(scope)):
            return ""
        if any(row.kind is Kind.ROLLBACK for row in deployment.hands.ledger.unfinished()):
            return "the slot is left to the rollback that is under way"
        back = []
        for instance_id in deployment.fact("displaced", []):
            if engine.inspect(instance_id) is None:
                continue
            instance = engine.resume(instance_id)
            engine.keep(instance_id, True)
            ready = self._await_ready()
            back.append(f"standby {instance.release} started again{'' if ready else ', not ready yet'}")
        return ", ".join(back)

    def _await_stopping(self) -> None:
        """What a run that died had asked the engine to stop runs until it has: it is no standby that stayed up."""
        deployment, hands = self._deployment, self._deployment.hands
        end = time.monotonic() + min(hands.manifest.container.stop_timeout + 1, _LONGEST_STOP)
        while deployment.fact("stopping") and time.monotonic() < end and hands.interruption.signal is None:
            found = hands.engine.instances(hands.manifest.scope)
            if not any(i.runs for i in found if i.id in deployment.fact("stopping")):
                return
            time.sleep(0.1)

    def _await_ready(self) -> bool:
        """A rollback right after this one's end should find the standby warm. Who was interrupted is in a hurry."""
        hands = self._deployment.hands
        health = hands.manifest.checks.health
        url = f"http://127.0.0.1:{self._deployment.port}{health.path}"
        end = time.monotonic() + health.timeout
        while not (ready := probe(url, 1.0).ready) and time.monotonic() < end and hands.interruption.signal is None:
            time.sleep(0.1)
        return ready


def _keep_log(deployment: Deployment, instance: Instance, shown: int = 25) -> None:
    """The candidate's log goes with the deployment, and its end is shown: `failed to become healthy` is no cause."""
    hands = deployment.hands
    try:
        lines = list(hands.engine.logs(instance.id, tail=2000))
        hands.ledger.attach(deployment.id, "candidate.log", "\n".join(lines))
    except (EngineError, LedgerError) as error:
        hands.report(Said(f"the log of {instance.name} could not be kept: {error.message}", "warning"))
        return
    if lines:
        hands.report(Excerpt(f"the end of the log of {instance.name}", tuple(lines[-shown:])))
