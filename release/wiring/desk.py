"""Where a command works from: the hands and the plan for what it is about, and the locks that it takes."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from release.config.reach import Reach
from release.config.state import State
from release.errors import LedgerError, Locked, ManifestError, UsageError
from release.ledger.locks import DeploymentLock, RollbackLock, TrafficLock
from release.ledger.store import Ledger
from release.pipeline.events import Report
from release.pipeline.interruption import Interruption
from release.rollout import identity
from release.rollout.hands import Hands, Plan
from release.wiring.notifying import notify
from release.wiring.parts import make_engine, make_front, make_whole
from release.wiring.planning import plan
from release.wiring.surroundings import Surroundings, in_force

if TYPE_CHECKING:
    from release.config.manifest import Manifest


@dataclass
class Desk:
    """Where a command works from."""

    report: Report
    surroundings: Surroundings = field(default_factory=Surroundings)
    interruption: Interruption = field(default_factory=Interruption)

    def for_tag(self, ref: str | None, *, snapshot: bool = False, approve: bool = False) -> tuple[Hands, Plan]:
        """Hands and plan for a tag or full release name, or for the working tree (`snapshot`).

        The manifest is the tagged commit's own; a commit without one takes `--manifest`, else the working tree's.
        """
        from release.source.repository import Source

        source = Source(self.surroundings.cwd)
        scratch = self.surroundings.root / ".snapshots" / str(os.getpid()) if snapshot else None
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
            atexit.register(_forget_snapshot, scratch)
            resolved = source.snapshot(scratch)
        elif ref is not None:
            resolved = source.resolve(ref)
        else:
            raise UsageError("name the tag to deploy", hint="release deploy v1.2.0, or --snapshot for the working tree")
        manifest, config, prefix = self.surroundings.of_commit(source, resolved)
        hands = self.hands(manifest, config)
        return hands, plan(hands, source, resolved, scratch, prefix, approve)

    def for_scope(self) -> Hands:
        """Hands for what is deployed, from the ledger alone: no repository is needed.

        Where several services are deployed and none is named, the manifest of the directory one stands in decides.
        """
        state = self.surroundings.state()
        with Ledger(state.ledger, readonly=True) as ledger:
            config = in_force(ledger)
        if config is None:
            manifest, config = self.surroundings.loaded()
            if manifest.scope != state.scope:
                raise UsageError(f"nothing of {state.scope} was deployed yet", hint="`release deploy TAG`")
            return self.hands(manifest, config)
        reach = Reach.kept(config)
        return self._hands(state, config, reach, partial(self.surroundings.kept, config), notifies=reach.notifies)

    def for_manifest(self) -> Hands:
        """Hands for the manifest one stands in, deployed or not (`release proxy install`, `doctor`)."""
        manifest, config = self.surroundings.loaded()
        return self.hands(manifest, config)

    def hands(self, manifest: Manifest, config: dict[str, object]) -> Hands:
        """`config` is the manifest as the ledger keeps it. Raises ManifestError where another service has its scope."""
        state = State(self.surroundings.root, manifest.scope)
        hands = self._hands(state, config, Reach.kept(config), lambda: manifest, notifies=bool(manifest.notify))
        _refuse_namesake(hands, manifest)
        return hands

    def _hands(
        self,
        state: State,
        config: dict[str, object],
        reach: Reach,
        manifest: Callable[[], Manifest],
        *,
        notifies: bool,
    ) -> Hands:
        """`manifest` is called once what takes all of it is asked for."""
        state.create()
        ledger = Ledger(state.ledger)
        traffic_lock = TrafficLock(state.locks / "traffic.lock")
        hands = Hands(
            state=state,
            reach=reach,
            engine=make_engine(reach.engine, reach.host, state),
            front=make_front(reach, state, manifest),
            ledger=ledger,
            report=self.report,
            interruption=self.interruption,
            traffic_lock=lambda: traffic_lock,
            rollback_lock=partial(_hold_rollback, state.locks / "rollback.lock"),
            notify=lambda *what: notify(hands, *what) if notifies else None,
            actor=identity.actor(self.surroundings.environ),
            config=config,
            open_whole=lambda: make_whole(manifest(), state),
        )
        return hands

    @contextlib.contextmanager
    def hold(self, hands: Hands, deployment_id: str) -> Iterator[None]:
        """The deployment lock for one run. Raises Locked naming who holds it."""
        lock = DeploymentLock(hands.state.locks / "deployment.lock")
        with lock.holding(deployment=deployment_id):
            yield

    @contextlib.contextmanager
    def try_hold(self, hands: Hands) -> Iterator[bool]:
        """As `hold`, without waiting and without an error: yields whether the lock could be had."""
        lock = DeploymentLock(hands.state.locks / "deployment.lock")
        try:
            lock.acquire(0.0)
        except (Locked, LedgerError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def holder(self, hands: Hands) -> dict[str, object] | None:
        """Who holds the deployment lock, without taking it."""
        return DeploymentLock(hands.state.locks / "deployment.lock").holder()


def _refuse_namesake(hands: Hands, manifest: Manifest) -> None:
    """Service `shop-eu` and environment `eu` of `shop` come to one scope: each would take the other for its own."""
    whose = {
        (row.config.get("service"), row.config.get("environment")) for row in hands.ledger.releases() if row.config
    }
    if whose and (manifest.service, manifest.environment) not in whose:
        hands.ledger.close()
        known = " and ".join(f"{service}, environment {environment or 'none'}" for service, environment in whose)
        raise ManifestError(
            f"{manifest.scope} is deployed here already, and is another service's: {known}",
            hint="rename the service or its environment: both would share containers, images and traffic",
        )


def _forget_snapshot(scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):
        scratch.parent.rmdir()


def _hold_rollback(path: Path, wait: float) -> contextlib.AbstractContextManager[object]:
    return RollbackLock(path).holding(wait)
