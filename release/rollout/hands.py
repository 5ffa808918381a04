"""What the steps work with: one bundle of concrete parts, put together in one place (`release.wiring`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from release.checks.base import Check
from release.config.model import Manifest
from release.config.state import State
from release.engine.base import Engine
from release.image.build import Obtained
from release.image.store import ImageStore, Progress, RegistryClient
from release.ledger.store import Ledger
from release.naming import ReleaseName
from release.notify import Occasion
from release.observe.samples import AccessLog
from release.pipeline.events import Report
from release.pipeline.interruption import Interruption
from release.proxy.base import Proxy

# Exports the tree of a release into a directory.
Export = Callable[[Path], None]
# Makes or finds the image of a release from its exported tree, and says how.
Obtain = Callable[[Path, Progress], Obtained]


@dataclass
class Hands:
    """`traffic_lock()` is a context manager held for milliseconds; `rollback_lock` says that a rollback has an owner.
    `actor` is who asked, as the ledger shows it."""

    manifest: Manifest
    state: State
    engine: Engine
    images: ImageStore
    proxy: Proxy
    ledger: Ledger
    report: Report
    interruption: Interruption
    traffic_lock: Callable[[], AbstractContextManager[object]]
    rollback_lock: Callable[[float], AbstractContextManager[object]]  # seconds to wait for it; raises Locked
    access_log: Callable[[], AccessLog]
    notify: Callable[[Occasion, str, str, str | None], None]  # occasion, release, reason, what is live; never raises
    actor: str
    config: dict[str, Any]  # the manifest in the form that the ledger keeps: no secret in it
    registry: RegistryClient | None = None


@dataclass
class Plan:
    """What one deployment is to do, as asked for. `checks` are the configured gates in order."""

    release: ReleaseName
    commit: str
    export: Export
    obtain: Obtain
    checks: list[Check] = field(default_factory=list)
    snapshot: bool = False
    prefix: str = "."  # where in the repository the service's manifest lies
    observe: bool = True
