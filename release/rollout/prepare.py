"""The steps before a candidate is asked anything: resolve, preflight, obtain, start. None of them touches traffic."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from release.checks.base import RELEASE, URL
from release.engine.base import EngineInfo, Instance, State
from release.errors import EngineError, Interrupted, LedgerError, ProxyError, Refused, Unusable
from release.image.store import Image
from release.ledger.records import Kind, ReleaseRow
from release.observe.readiness import probe
from release.pipeline.events import Excerpt, Said, StepProgress
from release.pipeline.step import Skip
from release.rollout import instances
from release.rollout.deployment import Deployment, unix
from release.rollout.hands import Plan

_DISK_SPARE = 512 << 20  # bytes that have to stay free whatever the image's size
_LONGEST_STOP = 10.0  # seconds at most that a standby is waited for which a run had asked to stop before it died


class Resolve:
    """Exports exactly the tagged commit, whatever is checked out."""

    name = "resolve"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

    def run(self) -> str | Skip:
        self._deployment.remember(prefix=self._plan.prefix)
        work = work_of(self._deployment)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self._plan.export(work / "export")
        what = "the working tree on" if self._plan.snapshot else "commit"
        return f"{self._plan.release.tag} is {what} {self._plan.commit[:12]}"

    def undo(self) -> str | None:
        shutil.rmtree(work_of(self._deployment), ignore_errors=True)
        return None


def work_of(deployment: Deployment) -> Path:
    """The scratch folder of one run; gone when it is over."""
    return deployment.hands.state.work / deployment.id


def tree_of(deployment: Deployment) -> Path:
    """The folder that holds the service's manifest, within the export of its commit."""
    return work_of(deployment) / "export" / str(deployment.fact("prefix", "."))


class Preflight:
    """Asks everything that could only fail later: engine, room for two releases, proxy, secrets."""

    name = "preflight"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

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
        ours = {i.host_port for i in deployment.hands.engine.instances(deployment.hands.manifest.scope) if runs(i)}
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
        ports = {i.host_port for i in mine if i.slot is live and runs(i)}
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


def runs(instance: Instance) -> bool:
    return instance.state in (State.RUNNING, State.RESTARTING)


class ObtainImage:
    """The image of the commit. A complete image is never undone: it is the same again next time."""

    name = "obtain"
    commits = False

    def __init__(self, deployment: Deployment, plan: Plan) -> None:
        self._deployment, self._plan = deployment, plan

    def run(self) -> str | Skip:
        deployment, plan, hands = self._deployment, self._plan, self._deployment.hands

        def progress(line: str) -> None:
            hands.report(StepProgress(self.name, line))
            deployment.alive()

        obtained = plan.obtain(tree_of(deployment), progress)
        image = obtained.image
        self._accept_rebuilt(image)
        hands.ledger.save_release(
            ReleaseRow(
                name=deployment.release,
                tag=plan.release.tag,
                commit=plan.commit,
                image_id=image.id,
                reference=image.reference,
                digest=image.digest,
                snapshot=plan.snapshot,
                barrier=hands.manifest.rollout.rollback_barrier,
                config=hands.config,
                secrets=instances.fingerprints(instances.read_secrets(hands.manifest), hands.manifest.scope),
                created_at=image.created,
                size=image.size,
            )
        )
        deployment.remember(image_id=image.id, reference=image.reference)
        return f"{image.reference} ({image.id[7:19]}, {image.size / 1e6:.0f} MB, {obtained.how})"

    def _accept_rebuilt(self, image: Image) -> None:
        """Layers of two builds of one commit differ; a new one counts only where the old one is gone."""
        deployment, hands = self._deployment, self._deployment.hands
        known = hands.ledger.release(deployment.release)
        if known is None or known.image_id == image.id or hands.images.get(known.image_id) is not None:
            return
        hands.ledger.renew_image(known.name, image.id, image.size)
        hands.ledger.note("image renewed", f"{known.name} was built again: its image had been pruned", deployment.id)

    def undo(self) -> str | None:
        """A build that was killed leaves layers and perhaps a container of the step that it was at."""
        images, scope = self._deployment.hands.images, self._deployment.hands.manifest.scope
        if self._deployment.fact("image_id") is not None:
            return None
        gone: set[str] = set()
        while left := [one for one in images.leftovers(scope) if one not in gone]:
            for leftover in left:
                images.discard(leftover)
                gone.add(leftover)
        return f"removed {len(gone)} leftovers of its build" if gone else None


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
            occupants = [i for i in mine if i.slot is deployment.slot and runs(i)]
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
            keep_log(deployment, instance)
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
        if any(i.slot is deployment.slot and runs(i) for i in engine.instances(scope)):
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
            if not any(runs(i) for i in found if i.id in deployment.fact("stopping")):
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


def drain(deployment: Deployment) -> None:
    """A request that began before traffic left may still run: nothing that received traffic is stopped before that.

    Nothing waits where nothing of it runs any more. A second signal leaves the rest to the next command.
    """
    left_at, hands = deployment.left_at(), deployment.hands
    if left_at is None or not any(runs(i) for i in deployment.own_instances()):
        return
    end = time.monotonic() + min(left_at + hands.manifest.drain - time.time(), hands.manifest.drain)
    if (remaining := end - time.monotonic()) > 0.5:
        hands.report(Said(f"draining {deployment.release} for {remaining:.0f} s before its container goes"))
    while (remaining := end - time.monotonic()) > 0:
        if hands.interruption.count > 1:
            raise Interrupted("a second signal ended the draining", hint="the next command removes what is left")
        time.sleep(min(remaining, 0.2))


def await_drained(deployment: Deployment) -> None:
    """Waits until requests that began before traffic last left the idle slot are over: its standby will be stopped."""
    hands = deployment.hands
    last = hands.ledger.switches(limit=1)
    remaining = 0.0 if not last else unix(last[0].at) + hands.manifest.drain - time.time()
    standby = [i for i in hands.engine.instances(hands.manifest.scope) if i.slot is deployment.slot and runs(i)]
    if standby and remaining > 0:
        remaining = min(remaining, hands.manifest.drain)
        hands.report(Said(f"{standby[0].release} had traffic a moment ago: draining it for {remaining:.1f} s"))
        deployment.wait(remaining)


def keep_log(deployment: Deployment, instance: Instance, shown: int = 25) -> None:
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


class Hook:
    """A command of the user's own (a migration, a cache), run in the exported tree; its failure stops the run."""

    commits = False

    def __init__(self, deployment: Deployment, name: str, command: str) -> None:
        self.name = name
        self._deployment, self._command = deployment, command

    def run(self) -> str | Skip:
        from release.hooks import execute

        manifest = self._deployment.hands.manifest
        return execute(self._command, tree_of(self._deployment), manifest.hooks.timeout, self._environment())

    def _environment(self) -> dict[str, str]:
        """Which run asks it, for which release; the URL is the slot's, where the candidate is once it has started."""
        deployment, manifest = self._deployment, self._deployment.hands.manifest
        return {
            "RELEASE_HOOK": self.name,
            "RELEASE_SERVICE": manifest.service,
            "RELEASE_ENVIRONMENT": manifest.environment or "",
            RELEASE: deployment.release,
            "RELEASE_DEPLOYMENT": deployment.id,
            "RELEASE_SLOT": deployment.slot.value,
            URL: f"http://127.0.0.1:{deployment.port}",
        }

    def undo(self) -> str | None:
        return None


__all__ = ["Hook", "ObtainImage", "Preflight", "Resolve", "Start", "keep_log", "runs", "tree_of", "work_of"]
