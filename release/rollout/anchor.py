"""The anchor: a pinned release that runs beside live and candidate for the quality gate alone, and goes again."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

from release.checks.base import Target
from release.config.stored import from_ledger
from release.errors import EngineError, ReleaseError
from release.ledger.records import ReleaseRow
from release.observe.readiness import probe
from release.pipeline.events import Said
from release.rollout import instances
from release.rollout.deployment import Deployment


@contextlib.contextmanager
def running(deployment: Deployment, wanted: str | None) -> Iterator[Target | None]:
    """Where the anchor answers; None where none is pinned, or it cannot run (said: the gate then has no data).

    It carries the deployment's label, so that whatever undoes the deployment removes it too.
    """
    row = _row(deployment, wanted)
    live = deployment.live_target()
    if row is None or (live is not None and live.release == row.name):
        yield None if row is None else live
        return
    try:
        target, instance_id = _start(deployment, row)
    except ReleaseError as error:
        deployment.hands.report(Said(f"the anchor {row.name} does not run: {error.message}", "warning"))
        yield None
        return
    try:
        yield target
    finally:
        deployment.hands.engine.remove(instance_id)


def _row(deployment: Deployment, wanted: str | None) -> ReleaseRow | None:
    if wanted is None:
        return None
    rows = [row for row in deployment.hands.ledger.releases() if wanted in (row.name, row.tag)]
    if len(rows) != 1:
        text = f"no release {wanted} is known" if not rows else f"{wanted} is more than one release"
        deployment.hands.report(Said(f"{text}: checks.quality.anchor names the anchor", "warning"))
        return None
    return rows[0]


def _start(deployment: Deployment, row: ReleaseRow) -> tuple[Target, str]:
    hands = deployment.hands
    manifest = from_ledger(row.config, os.environ) if row.config else hands.manifest
    specification = instances.specification(
        manifest.model_copy(update={"service": hands.manifest.service, "environment": hands.manifest.environment}),
        release=row.name,
        commit=row.commit,
        deployment=deployment.id,
        slot=deployment.slot,
        image_id=row.image_id,
        secrets=instances.read_secrets(manifest),
    )
    port = _free_port()
    instance = hands.engine.start(replace(specification, name=f"{specification.name}-anchor", host_port=port))
    target = Target(f"http://127.0.0.1:{port}", row.name, row.image_id, instances.weights_digest(manifest))
    try:
        _await(deployment, f"{target.url}{manifest.checks.health.path}", manifest.checks.health.timeout)
    except BaseException:
        hands.engine.remove(instance.id)
        raise
    return target, instance.id


def _await(deployment: Deployment, url: str, timeout: float) -> None:
    end = time.monotonic() + timeout
    while not (answer := probe(url, 2.0)).ready:
        if time.monotonic() > end:
            raise EngineError(f"it was not ready within {timeout:g} s: {answer.detail}")
        deployment.wait(0.2)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
