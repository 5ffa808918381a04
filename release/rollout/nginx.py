"""The step before the switch: nginx learns what the manifest changes; its undoing puts back what was there."""

from __future__ import annotations

import contextlib
import json
import os

from release import proxy as proxies
from release.config.manifest import Manifest
from release.config.stored import from_ledger
from release.errors import LedgerError, ProxyError, Refused
from release.pipeline.events import Said
from release.pipeline.step import Skip
from release.proxy import render
from release.proxy.durable import write_file
from release.rollout.deployment import Deployment


class Reconfigure:
    """Every gate is green by now: until here a refused release has changed nothing of what serves.

    The fact `in_nginx` says of a run that nginx has its configuration; `nginx_before` is the text that was there.
    """

    name = "nginx"
    commits = False

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        deployment, hands = self._deployment, self._deployment.hands
        before = hands.proxy.installed()
        deployment.remember(in_nginx=True, nginx_before=before or "")
        changed = hands.proxy.install()
        if not changed:
            deployment.remember(nginx_before=None)  # nothing to put back
        hands.proxy.ensure_running()
        self._note_ports(hands.manifest)
        for problem in hands.proxy.status().problems:
            hands.report(Said(problem, "warning"))
        if not changed:
            return Skip("nothing of it changes")
        return "reloaded with what the manifest changes" if before else f"installed, {hands.proxy.public_url}"

    def undo(self) -> str | None:
        deployment = self._deployment
        if not deployment.fact("in_nginx"):
            return None
        if deployment.serves():
            raise Refused(
                f"{deployment.release} still serves, so nginx keeps its configuration",
                hint="`release doctor` shows what serves; `release rollback` moves traffic",
            )
        before = deployment.fact("nginx_before")
        told, done = None, True
        if before:
            told, done = self._put_back(before)
        elif before is not None:
            told = self._take_down()
        if done:
            with contextlib.suppress(LedgerError):
                deployment.remember(in_nginx=False, nginx_before=None)
        return told

    def _put_back(self, before: str) -> tuple[str | None, bool]:
        """The configuration of before; or not, and why, where it would look for live where that is not."""
        deployment = self._deployment
        if (elsewhere := self._elsewhere(before)) is not None:
            return f"nginx keeps the configuration of {deployment.release}: {elsewhere}", False
        changed = deployment.proxy.put_back(before)
        if (former := self._former()) is not None:
            self._note_ports(former)
        return "nginx has the configuration again that it had before" if changed else None, True

    def _elsewhere(self, before: str) -> str | None:
        """A rollback that took over meanwhile may have started its release on a port that only this manifest names."""
        deployment, ports = self._deployment, render.slot_ports(before)
        traffic = deployment.traffic()
        if traffic is None or ports == render.slot_ports(deployment.proxy.installed() or ""):
            return None
        mine = deployment.hands.engine.instances(deployment.hands.manifest.scope)
        live = {i.host_port for i in mine if i.slot is traffic.live and i.runs}
        if not live or ports.get(traffic.live) in live:
            return None
        return f"{traffic.live} serves on port {min(live)}, which the one before does not know"

    def _take_down(self) -> str | None:
        """Nothing was there: this is the first deployment, or its nginx is another than that of the release before."""
        deployment, former = self._deployment, self._former()
        before = proxies.open(former, deployment.hands.state.path) if former is not None else None
        if before is not None and before.conf == deployment.proxy.conf:
            before.install()
            return "nginx has the configuration of the release before"
        try:
            if before is None and deployment.traffic() is not None:
                return None
        except ProxyError:
            return None
        deployment.proxy.uninstall()
        return "the nginx that this deployment put up is taken down"

    def _former(self) -> Manifest | None:
        """The manifest of the release that served before, as it was deployed."""
        deployment = self._deployment
        row = deployment.hands.ledger.release(deployment.row.previous_release or "")
        return from_ledger(row.config, os.environ) if row is not None and row.config else None

    def _note_ports(self, manifest: Manifest) -> None:
        """What `release init` reads, so that two services on one host do not choose the same ports."""
        ports = [manifest.slots.blue, manifest.slots.green, manifest.proxy.listen, manifest.proxy.admin_port]
        write_file(self._deployment.hands.state.ports, json.dumps(ports))
