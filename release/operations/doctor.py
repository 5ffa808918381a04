"""Doctor: holds what serves, what runs and what happened against each other, and says how to mend what differs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from release.config.stored import missing_variables
from release.engine.base import Instance, State
from release.errors import ProxyError, ReleaseError
from release.ledger.records import DeploymentRow, DeploymentState, Kind, Standing, SwitchRow
from release.ledger.store import utc_now
from release.naming import Slot
from release.operations.result import live_release
from release.operations.settle import settle
from release.rollout import identity, instances, targets
from release.rollout.hands import Hands
from release.rollout.preflight import require_disk


@dataclass(frozen=True)
class Finding:
    """`mend` is the command or the act that puts it right; empty where all is well."""

    about: str
    well: bool
    text: str
    mend: str = ""


def examine(hands: Hands, holder: dict[str, Any] | None) -> list[Finding]:
    """Every question is asked, also where an earlier one went badly. Nothing is changed."""
    found: list[Finding] = []
    for about, question in (
        ("engine", lambda: _engine(hands)),
        ("proxy", lambda: _proxy(hands)),
        ("traffic", lambda: _traffic(hands)),
        ("ledger", lambda: _ledger(hands, holder)),
        ("leftovers", lambda: _leftovers(hands, holder)),
        ("secrets", lambda: _secrets(hands)),
        ("notify", lambda: _notify(hands)),
        ("rollback", lambda: _rollback(hands)),
    ):
        found += _asked(about, question)
    return found


def _asked(about: str, question: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return question() or [Finding(about, True, "well")]
    except ReleaseError as error:
        return [Finding(about, False, error.message, error.hint or "")]


def _engine(hands: Hands) -> list[Finding]:
    info = hands.engine.info()
    require_disk(info)
    free = "" if info.disk_free is None else f", {info.disk_free >> 30} GiB free in {info.disk_path}"
    return [Finding("engine", True, f"{info.kind} {info.version}{free}")]


def _proxy(hands: Hands) -> list[Finding]:
    """Before the first deployment only nginx itself has to be here: `deploy` sets it up."""
    program = hands.manifest.proxy.command[0]
    if shutil.which(program) is None:
        text = f"there is no {program} on this host, or not in this user's PATH"
        mend = "sudo apt-get install nginx-light\nwhere it lies elsewhere: `proxy.command: [/usr/sbin/nginx]`"
        return [Finding("proxy", False, text, mend)]
    status = hands.proxy.status()
    if not status.problems:
        return [Finding("proxy", True, f"nginx answers, {hands.proxy.public_url}")]
    first = not status.installed and hands.proxy.switch.get() is None and _was_live(hands) is None
    well = first or (status.running and status.current)
    return [Finding("proxy", well, problem) for problem in status.problems]


def _traffic(hands: Hands) -> list[Finding]:
    """Flag files against containers against the ledger's last switch."""
    traffic, was = hands.proxy.switch.get(), _was_live(hands)
    if traffic is None and was:
        text = f"the flag that says what serves is gone, so every request is answered 503; {was} was live"
        return [Finding("traffic", False, text, f"`release rollback --to {was}` sets traffic again")]
    if traffic is None:
        return [Finding("traffic", True, "nothing is live yet")]
    found = []
    mine = hands.engine.instances(hands.manifest.scope)
    for slot in Slot:
        running = [i for i in mine if i.slot is slot and i.state is State.RUNNING]
        if traffic.share(slot) > 0 and not running:
            stopped = [i for i in mine if i.slot is slot]
            start = f"`docker start {stopped[0].name}`, or " if stopped else ""
            text = f"{slot} gets {traffic.share(slot)} per mille, and nothing runs there"
            found.append(Finding("traffic", False, text, f"{start}`release rollback`"))
        if len(running) > 1:
            names = ", ".join(i.name for i in running)
            found.append(Finding("traffic", False, f"{slot} holds more than one: {names}", "stop the one too many"))
    if not found:
        try:
            hands.proxy.verify(traffic)
        except ProxyError as error:
            found.append(Finding("traffic", False, error.message, error.hint or ""))
    found += _unrecorded(hands)
    return found or [Finding("traffic", True, f"{live_release(hands, traffic.live)} on {traffic.live}")]


def _was_live(hands: Hands) -> str | None:
    """What served last by the ledger; None where the last run took the first release ever back."""
    lasting = (DeploymentState.LIVE, DeploymentState.UNOBSERVED)
    moved = [row for row in hands.ledger.deployments(limit=20) if row.facts.get("switching_at") is not None]
    if not moved:
        return None
    return moved[0].release if moved[0].state in lasting else moved[0].previous_release


def _unrecorded(hands: Hands) -> list[Finding]:
    """Traffic that moved while the ledger could not be written (a full disk) is recorded afterwards."""
    traffic, last = hands.proxy.switch.get(), hands.ledger.switches(limit=1)
    if traffic is None or (last and last[0].after == traffic.green):
        return []
    text = "traffic was moved and the ledger does not know it"
    return [Finding("ledger", False, text, "`release doctor --mend` records what serves now")]


def _ledger(hands: Hands, holder: dict[str, Any] | None) -> list[Finding]:
    found = []
    for row in hands.ledger.unfinished():
        if holder is None:
            text = f"{row.kind} {row.id} of {row.release} lost its process"
            found.append(Finding("ledger", False, text, "`release doctor --mend`, or the next deploy, settles it"))
    for name in missing_variables(hands.config, {}) if hands.manifest.registry.push else ():
        found.append(Finding("ledger", True, f"{name} is not in the environment: a push would ask for it"))
    return found


def _leftovers(hands: Hands, holder: dict[str, Any] | None) -> list[Finding]:
    """Containers of runs that are over and that nothing needs, and unfinished images."""
    if holder is not None:
        return []
    found = [
        Finding("leftovers", False, f"{i.name} is left from a failed run", "`release doctor --mend` removes it")
        for i in _left_running(hands)
    ]
    for leftover in hands.images.leftovers(hands.manifest.scope):
        found.append(Finding("leftovers", False, f"{leftover[:19]} is left from a build", "`release prune` removes it"))
    return found


def _left_running(hands: Hands) -> list[Instance]:
    """Containers of runs that did not go live and are over, other than what serves."""
    traffic = hands.proxy.switch.get()
    over = (DeploymentState.REFUSED, DeploymentState.FAILED, DeploymentState.UNDONE, DeploymentState.SUPERSEDED)
    failed = {row.id for row in hands.ledger.deployments(limit=500) if row.state in over}
    return [
        instance
        for instance in hands.engine.instances(hands.manifest.scope)
        if instance.deployment in failed and (traffic is None or traffic.share(instance.slot) == 0)
    ]


def _secrets(hands: Hands) -> list[Finding]:
    """Whether the secrets of the live release can still be read, and are what they were."""
    traffic = hands.proxy.switch.get()
    live = live_release(hands, traffic.live) if traffic else None
    row = hands.ledger.release(live) if live else None
    changed = instances.changed_secrets(
        row.secrets if row else {}, instances.read_secrets(hands.manifest), hands.manifest.scope
    )
    return [Finding("secrets", True, f"{name} changed since {live} was deployed", "") for name in changed]


def _notify(hands: Hands) -> list[Finding]:
    """Nobody hears of an address that cannot be used, just when there is something to hear."""
    if not hands.manifest.notify:
        return [Finding("notify", True, "nobody is told of deployments and rollbacks")]
    from release.notify import malformed

    found = malformed(hands.manifest.notify)
    return [
        Finding("notify", False, f"notify.{index} {text}", "deploy with a mended release.yaml") for index, text in found
    ]


def _rollback(hands: Hands) -> list[Finding]:
    from release.operations.look import status

    now = status(hands, {})
    if now.live is None:
        return [Finding("rollback", True, "nothing is live yet")]
    if now.target is None:
        return [Finding("rollback", True, f"no bare rollback: {now.takes}")]
    return [Finding("rollback", True, f"to {now.target} ({now.takes})")]


def mend(hands: Hands) -> list[str]:
    """Settles dead runs, starts the proxy where it is down, removes what failed runs left, and records what serves.
    The caller holds the deployment lock."""
    done = settle(hands)
    if hands.proxy.switch.get() is not None and hands.proxy.ensure_running():
        done.append("nginx was down and runs again")
    for instance in _left_running(hands):
        hands.engine.remove(instance.id)
        done.append(f"removed {instance.name}, left from a run that failed")
    if _unrecorded(hands):
        done.append(_record_what_serves(hands))
    return done


def _record_what_serves(hands: Hands) -> str:
    """Traffic was moved while the ledger could not be written: by a rollback, since nothing else does that."""
    traffic, last = hands.proxy.switch.get(), hands.ledger.switches(limit=1)
    assert traffic is not None
    release, left = live_release(hands, traffic.live) or "", last[0].release if last else None
    here, gone = hands.ledger.release(release), hands.ledger.release(left or "")
    forward = here is not None and targets.is_forward(gone, here)  # then a bare rollback may take it back
    row = DeploymentRow(
        id=identity.deployment_id(),
        kind=Kind.ROLLBACK,
        release=release,
        state=DeploymentState.RUNNING,
        actor=hands.actor,
        host=identity.host(),
        pid=os.getpid(),
        started_at=utc_now(),
        slot=traffic.live,
        previous_release=left,
        facts={"switching_at": time.time(), "found": True, "forward": forward},
    )
    hands.ledger.begin(row)
    hands.ledger.save_switch(SwitchRow(row.id, utc_now(), None, traffic.green, 0.0, release, hands.actor, "found"))
    if here is not None:
        hands.ledger.mark_live(release, utc_now())
    if here and gone and here.name != gone.name and not forward:
        why = f"rolled back to {release} while the ledger could not be written"
        hands.ledger.set_standing(gone.name, Standing.WITHDRAWN, why, hands.actor)
    text = f"the ledger knows now that {release or 'an unknown release'} serves"
    hands.ledger.finish(row.id, DeploymentState.LIVE, 0, f"{text}: it was found so")
    return text
