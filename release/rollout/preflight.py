"""The step preflight: what could only fail later is asked before anything is built."""

from __future__ import annotations

from release.engine.base import EngineInfo
from release.errors import Unusable
from release.pipeline.events import Said
from release.pipeline.step import Skip
from release.rollout import instances
from release.rollout.deployment import Deployment

_DISK_SPARE = 512 << 20  # bytes that have to stay free whatever the image's size


class Preflight:
    """Asks everything that could only fail later: engine, room for two releases, proxy, secrets."""

    name = "preflight"
    commits = False

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def run(self) -> str | Skip:
        hands = self._deployment.hands
        info = hands.engine.info()
        for warning in info.warnings:
            hands.report(Said(warning, "warning"))
        require_memory(info, hands.manifest.container.memory)
        require_disk(info)
        require_gpus(info, hands.manifest.container.gpus)
        secrets = instances.read_secrets(hands.manifest)
        self._tell_changed_secrets(instances.fingerprints(secrets, hands.manifest.scope))
        self._require_port()
        self._require_live_stays()
        if hands.proxy.installed() is not None and hands.proxy.ensure_running():
            hands.report(Said("nginx was down; it runs again as it was", "warning"))
        nginx = "takes what changes before the switch" if hands.proxy.check() else "ready"
        room = f"{_gib(info.memory_available)} memory, {_gib(info.disk_free)} disk free"
        return f"{hands.engine.kind} {info.version}, {room}; nginx {nginx}"

    def undo(self) -> str | None:
        return None

    def _require_port(self) -> None:
        deployment = self._deployment
        ours = {i.host_port for i in deployment.hands.engine.instances(deployment.hands.manifest.scope) if i.runs}
        owner = deployment.hands.engine.port_owner(deployment.port)
        if owner is not None and deployment.port not in ours:
            raise Unusable(
                f"port {deployment.port} of slot {deployment.slot} is taken by {owner}",
                hint=f"stop it, or choose another port under slots.{deployment.slot} in release.yaml",
            )

    def _require_live_stays(self) -> None:
        """nginx is rendered with this manifest's ports before the switch: live would be looked for where it is not."""
        deployment, traffic = self._deployment, self._deployment.traffic()
        if traffic is None:
            return
        live, slots = traffic.live, deployment.hands.manifest.slots
        mine = deployment.hands.engine.instances(deployment.hands.manifest.scope)
        ports = {i.host_port for i in mine if i.slot is live and i.runs}
        if ports and slots.port(live) not in ports:
            raise Unusable(
                f"{live} serves on port {min(ports)}, and slots.{live} of this manifest says {slots.port(live)}",
                hint=f"leave slots.{live} as it is; slots.{live.other} may change now, and the other one release later",
            )

    def _tell_changed_secrets(self, now: dict[str, str]) -> None:
        previous = self._deployment.row.previous_release
        row = self._deployment.hands.ledger.release(previous) if previous else None
        changed = [name for name, print_ in (row.secrets if row else {}).items() if now.get(name, print_) != print_]
        if changed:
            self._deployment.hands.report(Said(f"secrets changed since {previous}: {', '.join(changed)}"))


def require_memory(info: EngineInfo, limit: int | None) -> None:
    if limit is not None and info.memory_available is not None and info.memory_available < limit:
        raise Unusable(
            f"{_gib(info.memory_available)} of memory is available; the candidate may take {_gib(limit)} beside live",
            hint="free memory, lower container.memory, or set `standby: cold` so that only live runs beside it",
        )


def require_disk(info: EngineInfo) -> None:
    if info.disk_free is not None and info.disk_free < _DISK_SPARE:
        raise Unusable(
            f"only {info.disk_free >> 20} MiB are free in {info.disk_path}, where images live",
            hint="`release prune` removes images that no rollback needs; `release prune --dry-run` shows them",
        )


def require_gpus(info: EngineInfo, wanted: int) -> None:
    if wanted and info.gpus is not None and info.gpus < wanted:
        raise Unusable(
            f"the manifest asks for {wanted} GPUs and the engine sees {info.gpus}",
            hint="install the NVIDIA container toolkit, or lower container.gpus",
        )


def _gib(value: int | None) -> str:
    return "unknown" if value is None else f"{value / (1 << 30):.1f} GiB"
