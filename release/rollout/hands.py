"""What the steps work with: one bundle of concrete parts, put together in one place (`release.wiring`)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release.checks.base import Check
    from release.config.manifest import Manifest
    from release.config.reach import Reach
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
    from release.proxy.base import Front, Proxy
    from release.verdict import Verdict

    # Exports the tree of a release into a directory.
    Export = Callable[[Path], None]
    # Makes or finds the image of a release from its exported tree, and says how.
    Obtain = Callable[[Path, Progress], Obtained]


@dataclass(frozen=True)
class Whole:
    """What takes the whole manifest."""

    manifest: Manifest
    images: ImageStore
    proxy: Proxy
    registry: RegistryClient | None
    access_log: Callable[[], AccessLog]


@dataclass
class Hands:
    """`traffic_lock()` is a context manager held for milliseconds; `rollback_lock` says that a rollback has an owner.
    `actor` is who asked, as the ledger shows it.

    What takes the whole manifest is put together when it is first asked for: a rollback to a warm standby never does.
    """

    state: State
    reach: Reach
    engine: Engine
    front: Front
    ledger: Ledger
    report: Report
    interruption: Interruption
    traffic_lock: Callable[[], AbstractContextManager[object]]
    rollback_lock: Callable[[float], AbstractContextManager[object]]  # seconds to wait for it; raises Locked
    notify: Callable[[Occasion, str, str, str | None], None]  # occasion, release, reason, what is live; never raises
    actor: str
    config: dict[str, Any]  # the manifest in the form that the ledger keeps: no secret in it
    open_whole: Callable[[], Whole]

    @property
    def scope(self) -> str:
        return self.state.scope

    @cached_property
    def _whole(self) -> Whole:
        return self.open_whole()

    @property
    def manifest(self) -> Manifest:
        return self._whole.manifest

    @property
    def images(self) -> ImageStore:
        return self._whole.images

    @property
    def proxy(self) -> Proxy:
        return self._whole.proxy

    @property
    def registry(self) -> RegistryClient | None:
        return self._whole.registry

    def access_log(self) -> AccessLog:
        return self._whole.access_log()


@dataclass
class Plan:
    """What one deployment is to do, as asked for. `checks` are the configured gates in order."""

    release: ReleaseName
    commit: str
    export: Export
    obtain: Obtain
    checks: list[Check] = field(default_factory=list)
    left_out: list[Verdict] = field(default_factory=list)  # of the gates that are not configured
    snapshot: bool = False
    prefix: str = "."  # where in the repository the service's manifest lies
