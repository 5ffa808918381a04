"""One deployment while it runs: its facts (durable, for undo and recovery), and what it may ask of the world."""

from __future__ import annotations

import os
import time
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from release import proxy as proxies
from release.checks.base import Target
from release.config.stored import from_ledger
from release.engine.base import Instance, State
from release.errors import ProxyError, ServiceError, Superseded
from release.ledger.records import DeploymentRow
from release.naming import Slot
from release.proxy.base import Proxy, Traffic
from release.rollout import instances
from release.rollout.hands import Hands


class Deployment:
    """Reads and remembers the facts of one run. Every fact is in the ledger before the effect that it describes."""

    def __init__(self, hands: Hands, row: DeploymentRow) -> None:
        self.hands = hands
        self.row = row
        self._facts: dict[str, Any] = dict(row.facts)
        self._checked_at = 0.0

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def release(self) -> str:
        return self.row.release

    @property
    def slot(self) -> Slot:
        """The candidate's slot."""
        return Slot(self.row.slot or Slot.BLUE)

    @property
    def port(self) -> int:
        return self.hands.manifest.slots.port(self.slot)

    @property
    def work(self) -> Path:
        """The scratch folder of this run; gone when it is over."""
        return self.hands.state.work / self.id

    @property
    def tree(self) -> Path:
        """The folder that holds the service's manifest, within the export of its commit."""
        return self.work / "export" / str(self.fact("prefix", "."))

    @cached_property
    def proxy(self) -> Proxy:
        """nginx as this run's own manifest has it: who settles a dead run may come with another one."""
        config = self.fact("config")
        if config is None or config == self.hands.config:
            return self.hands.proxy
        return proxies.open(from_ledger(config, os.environ), self.hands.state.path)

    def fact(self, name: str, default: Any = None) -> Any:
        return self._facts.get(name, default)

    def remember(self, **facts: Any) -> None:
        """Durable when it returns; raises LedgerError."""
        self._facts.update(facts)
        self.hands.ledger.remember(self.id, **facts)

    # -- what serves, what runs

    def traffic(self) -> Traffic | None:
        return self.hands.proxy.switch.get()

    def serves(self) -> bool:
        """True where this deployment's own switch is what serves now."""
        try:
            traffic = self.traffic()
        except ProxyError:
            return False
        return traffic is not None and traffic.owner == self.id and traffic.share(self.slot) > 0

    def holds_traffic(self) -> bool:
        """As `serves`; and where the flag tree cannot be read, whether this run was the last to move traffic."""
        try:
            traffic = self.traffic()
        except ProxyError:
            return self.fact("switching_at") is not None and self.hands.ledger.epoch() == self.row.epoch
        return traffic is not None and traffic.owner == self.id and traffic.share(self.slot) > 0

    def left_at(self) -> float | None:
        """Unix seconds since which the candidate's slot gets no more requests; None where it never got any."""
        if self.fact("left_at") is not None:
            return float(self.fact("left_at"))
        if self.fact("switching_at") is None:
            return None
        left = None
        for switch in self.hands.ledger.switches(limit=20):
            if switch.deployment == self.id and switch.reason == "deploy":
                break
            left = switch
        return time.time() if left is None else unix(left.at)

    def candidate(self) -> Instance | None:
        instance_id = self.fact("candidate")
        return None if instance_id is None else self.hands.engine.inspect(instance_id)

    def own_instances(self) -> list[Instance]:
        """Whatever this deployment started, found by its label: also what it had no time to write down."""
        return [i for i in self.hands.engine.instances(self.hands.manifest.scope) if i.deployment == self.id]

    def candidate_target(self) -> Target:
        weights = instances.weights_digest(self.hands.manifest)
        return Target(f"http://127.0.0.1:{self.port}", self.release, self.fact("image_id", ""), weights)

    def live_target(self) -> Target | None:
        """The release that serves beside the candidate, where there is one and it runs."""
        if self.row.previous_release is None or self.row.previous_slot is None:
            return None
        port = self.hands.manifest.slots.port(Slot(self.row.previous_slot))
        row = self.hands.ledger.release(self.row.previous_release)
        weights = ""
        if row is not None and row.config:
            weights = instances.weights_digest(from_ledger(row.config, os.environ))
        image = str(self.fact("previous_image", ""))
        return Target(f"http://127.0.0.1:{port}", self.row.previous_release, image, weights)

    # -- may it go on?

    def check_epoch(self) -> None:
        """Raises Superseded where a rollback or an abort has taken over since this run began."""
        if self.hands.ledger.epoch() != self.row.epoch:
            raise Superseded(
                f"{self.release}: a rollback or an abort took over",
                hint="`release history` shows who asked for it; deploy again when its reason is gone",
            )

    def require_traffic(self) -> None:
        """As `check_epoch`, from the flags as well: on a full disk a rollback moves traffic and can write no epoch.

        Raises ProxyError where the flags cannot be read.
        """
        self.hands.interruption.check()
        self.check_epoch()
        traffic = self.traffic()
        if traffic is None or traffic.owner != self.id:
            raise Superseded(
                f"{self.release}: traffic was moved by somebody else",
                hint="`release history` shows who; `release doctor` shows what the ledger does not know",
            )

    def alive(self) -> None:
        """Raises once the run may not go on: interrupted, superseded, or the candidate died or restarted.

        The engine is asked once a second at most, so that checks can call this between all their requests.
        """
        self.hands.interruption.check()
        if time.monotonic() - self._checked_at < 1.0:
            return
        self._checked_at = time.monotonic()
        self.check_epoch()
        instance = self.candidate()
        if instance is None and self.fact("candidate") is not None:
            self.check_epoch()
            raise ServiceError(f"{self.release}: its container was removed from outside")
        if instance is not None:
            self.require_same(instance)

    def require_same(self, instance: Instance) -> None:
        if instance.state is not State.RUNNING:
            raise ServiceError(died(instance), hint="the end of its log says more; `release logs` shows all of it")
        token = self.fact("pid_token")
        if token and instance.pid_token != token:
            raise ServiceError(
                f"{self.release} restarted while it was being looked at ({instance.restarts} restarts)",
                hint="a service that dies under its first requests is not ready; see its log",
            )

    def wait(self, seconds: float) -> None:
        """Sleeps in short pieces, asking in between whether the run may go on."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.alive()
            self.hands.interruption.sleep(min(left, 0.5))


def unix(at: str) -> float:
    """Unix seconds of a time in the ledger; 0 where there is none."""
    return datetime.fromisoformat(at).timestamp() if at else 0.0


def died(instance: Instance) -> str:
    """One sentence on how a container ended: exit code, memory limit."""
    if instance.oom_killed:
        return f"{instance.release} was killed at its memory limit (raise container.memory)"
    code = "" if instance.exit_code is None else f" with exit code {instance.exit_code}"
    return f"{instance.release} stopped{code} ({instance.state})"
