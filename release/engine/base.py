"""What an engine can do, and the values it takes and gives. One conformance suite holds every engine to this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from release import naming
from release.naming import Slot

if TYPE_CHECKING:
    from release.config.secret import Secret


class State(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    RESTARTING = "restarting"
    EXITED = "exited"


@dataclass(frozen=True)
class EngineInfo:
    """What the engine says of itself; memory in bytes, None where it does not tell."""

    kind: str
    version: str
    memory_total: int | None = None
    memory_available: int | None = None
    disk_free: int | None = None
    disk_path: str = ""
    gpus: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class InstanceSpec:
    """How to start one instance of a release in one slot. Published on 127.0.0.1:`host_port` only."""

    name: str
    scope: str
    slot: Slot
    release: str
    deployment: str
    image_id: str
    container_port: int
    host_port: int
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    memory: int | None = None
    shm_size: int | None = None
    cpus: float | None = None
    gpus: int = 0
    stop_timeout: float = 30.0
    log_max_size: int = 10 << 20
    log_max_files: int = 3
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One container (or process) of ours. `started_at` is RFC 3339 UTC; `restarts` counts since creation.

    `pid_token` changes whenever the main process does, so that a silent restart is seen.
    """

    id: str
    name: str
    scope: str
    slot: Slot
    release: str
    deployment: str
    image_id: str
    host_port: int
    state: State
    started_at: str = ""
    restarts: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    pid_token: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether its process is there, or about to be again."""
        return self.state in (State.RUNNING, State.RESTARTING)


def labels_of(spec: InstanceSpec) -> dict[str, str]:
    """What an instance says of itself. Never a secret, nor its fingerprint."""
    return {
        **spec.labels,
        naming.LABEL_SCOPE: spec.scope,
        naming.LABEL_SLOT: str(spec.slot),
        naming.LABEL_RELEASE: spec.release,
        naming.LABEL_DEPLOYMENT: spec.deployment,
        naming.LABEL_PORT: str(spec.host_port),
    }


class Engine(Protocol):
    """Every method raises EngineError (mapped from the library's own) and never a foreign exception."""

    kind: str

    def info(self) -> EngineInfo:
        """Raises EngineError with the fix in its hint where the engine does not answer."""

    def start(self, spec: InstanceSpec) -> Instance:
        """Creates and starts, without a restart policy. On failure nothing of it is left behind."""

    def resume(self, instance_id: str) -> Instance:
        """Starts a stopped instance again, as it was."""

    def stop(self, instance_id: str, timeout: float) -> None:
        """SIGTERM, then SIGKILL after `timeout` seconds; a stopped or absent instance is fine."""

    def remove(self, instance_id: str) -> None:
        """Stops at once where it runs, and removes; absent is fine."""

    def keep(self, instance_id: str, keep: bool) -> None:
        """Restart policy `unless-stopped` (True) or none (False)."""

    def inspect(self, instance_id: str) -> Instance | None: ...

    def instances(self, scope: str) -> list[Instance]:
        """Every instance of this scope, running or not, and no other scope's."""

    def port_owner(self, port: int) -> str | None:
        """Who listens on 127.0.0.1:`port`, as well as it can be told; None where the port is free."""

    def logs(self, instance_id: str, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """Lines of stdout and stderr, decoded with replacement, without line ends; `tail` last lines first."""
