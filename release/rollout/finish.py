"""The steps at the end: commit makes a release good; retiring the old comes after, and is finished forward."""

from __future__ import annotations

import shutil
import time

from release.engine.base import Instance
from release.errors import ReleaseError
from release.ledger.records import DeploymentState, Standing
from release.ledger.store import utc_now
from release.pipeline.events import Said
from release.pipeline.step import Skip
from release.rollout.deployment import Deployment
from release.rollout.housekeeping import prune, told


class Commit:
    """The release is good (or unobserved); from here on nothing is undone."""

    name = "commit"
    commits = True

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        deployment, ledger = self._deployment, self._deployment.hands.ledger
        unobserved = deployment.fact("unobserved")
        standing = Standing.UNOBSERVED if unobserved else Standing.GOOD
        row, config = ledger.release(deployment.release), deployment.fact("config", deployment.hands.config)
        if row is not None and row.config != config:  # who settles a dead run may come with another manifest
            ledger.set_config(row.name, config, row.secrets)
        with deployment.hands.traffic_lock():
            deployment.require_traffic()
            ledger.set_standing(deployment.release, standing, unobserved or "", deployment.hands.actor)
            ledger.mark_live(deployment.release, utc_now())
            state = DeploymentState.UNOBSERVED if unobserved else DeploymentState.LIVE
            ledger.finish(deployment.id, state, 7 if unobserved else 0, unobserved or f"{deployment.release} is live")
        return f"{deployment.release} is {standing}"

    def undo(self) -> str | None:
        return None


class Retire:
    """After the drain time the old live becomes standby, warm or cold; what is no rollback target any more goes."""

    name = "retire"
    commits = False

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        displaced = self._remove_displaced()
        mine = hands.engine.instances(hands.manifest.scope)
        old = [i for i in mine if i.slot is deployment.slot.other and i.runs]
        done = [self._retire_old(instance) for instance in old]
        if displaced:
            done.append(f"removed {', '.join(sorted({i.release for i in displaced}))}")
        shutil.rmtree(deployment.work, ignore_errors=True)
        done.append(told(prune(hands, dry_run=False).counts))
        with hands.traffic_lock():  # nobody prepares a switch meanwhile
            hands.proxy.switch.forget([d.id for d in hands.ledger.deployments(limit=8)])
        hands.proxy.rotate_logs()
        deployment.remember(retired=True, nginx_before=None)
        return "; ".join(filter(None, done)) or "nothing to retire"

    def _remove_displaced(self) -> list[Instance]:
        """What sat in the slot before; it stays where a rollback has taken the slot meanwhile."""
        deployment, hands = self._deployment, self._deployment.hands
        with hands.traffic_lock():
            if not deployment.serves():
                return []
            mine = hands.engine.instances(hands.manifest.scope)
            displaced = [i for i in mine if i.slot is deployment.slot and i.deployment != deployment.id]
            for instance in displaced:
                hands.engine.remove(instance.id)
        return displaced

    def _retire_old(self, instance: Instance) -> str:
        hands = self._deployment.hands
        if hands.manifest.standby == "warm":
            return f"{instance.release} is the warm standby"
        self._drain()
        with hands.traffic_lock():
            if not self._deployment.serves():
                return f"{instance.release} is left running: traffic has been moved since"
            self._deployment.remember(stopping=[instance.id])  # from here on no rollback sends traffic to it
        hands.engine.keep(instance.id, False)
        hands.engine.stop(instance.id, hands.manifest.container.stop_timeout)
        self._deployment.remember(stopping=[])
        return f"{instance.release} is the cold standby"

    def _drain(self) -> None:
        """Waits until requests that began before the switch are over; a signal leaves the rest to the next command."""
        deployment, hands = self._deployment, self._deployment.hands
        end = float(deployment.fact("switched_at") or 0.0) + hands.manifest.drain
        while (left := end - time.time()) > 0:
            if hands.interruption.signal is not None:
                raise ReleaseError("interrupted while draining; the next command finishes it")
            if left > 1:
                hands.report(Said(f"draining {left:.0f} s before the old release stops"))
            time.sleep(min(left, 5.0, hands.manifest.drain))

    def undo(self) -> str | None:
        return None
