"""Looking: what serves, what runs, what happened, and where the three differ. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from release.engine.base import Instance, State
from release.errors import EngineError, ProxyError, Refused, UsageError
from release.ledger.records import DeploymentRow, ReleaseRow, StepState
from release.naming import Slot, echoed
from release.operations.glance import recorded_live
from release.operations.rollback import ways
from release.operations.standby import recorded_way
from release.proxy.base import Traffic
from release.rollout import targets
from release.rollout.hands import Hands

_UNKNOWN = "unknown"  # what the engine alone could tell, where it does not answer


@dataclass(frozen=True)
class SlotView:
    """`share` in per mille; `release` and `state` are empty where nothing is in the slot."""

    slot: str
    role: str  # live, candidate, standby, empty; unknown where the engine does not answer
    share: int
    release: str = ""
    state: str = ""
    standing: str = ""
    since: str = ""
    container: str = ""
    port: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class RunView:
    """The run that is under way; `holder` is what the deployment lock says of its process, None where it died."""

    deployment: str
    release: str
    kind: str
    step: str
    since: str
    actor: str
    holder: dict[str, Any] | None


@dataclass(frozen=True)
class Status:
    scope: str
    url: str
    live: str | None
    slots: tuple[SlotView, ...]
    running: RunView | None
    last: DeploymentRow | None
    target: str | None
    takes: str
    problems: tuple[str, ...] = field(default=())
    engine_answers: bool = True  # False: what runs is what the ledger says should

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def status(hands: Hands, holder: dict[str, Any] | None) -> Status:
    """`holder` is what the deployment lock says (None: nobody holds it)."""
    traffic, problems = _traffic(hands)
    rows = {row.name: row for row in hands.ledger.releases()}
    slots, silent = _slots(hands, traffic, rows)
    problems += silent
    live = next((view.release for view in slots if view.role == "live" and view.release), None)
    problems += _differences(traffic, slots, rows)
    running = _running(hands, holder)
    if running is not None and holder is None:
        problems.append(f"{running.deployment} lost its process; the next `release deploy` or `rollback` settles it")
    proxy = hands.proxy.status()
    problems += proxy.problems
    target, takes = _target(hands, live, traffic, asks_engine=not silent)
    recent = hands.ledger.deployments(limit=1)
    return Status(
        scope=hands.manifest.scope,
        url=hands.proxy.public_url,
        live=live,
        slots=slots,
        running=running,
        last=recent[0] if recent else None,
        target=target,
        takes=takes,
        problems=tuple(dict.fromkeys(problems)),
        engine_answers=not silent,
    )


def _traffic(hands: Hands) -> tuple[Traffic | None, list[str]]:
    try:
        return hands.proxy.switch.get(), []
    except ProxyError as error:
        return None, [str(error)]


def _slots(
    hands: Hands, traffic: Traffic | None, rows: dict[str, ReleaseRow]
) -> tuple[tuple[SlotView, ...], list[str]]:
    """Both slots as the engine has them; where it does not answer, as the ledger has them, and the reason."""
    try:
        mine = hands.engine.instances(hands.manifest.scope)
        return tuple(_slot(hands, slot, traffic, mine, rows) for slot in Slot), []
    except EngineError as error:
        return tuple(_unseen(hands, slot, traffic, rows) for slot in Slot), [str(error)]


def _unseen(hands: Hands, slot: Slot, traffic: Traffic | None, rows: dict[str, ReleaseRow]) -> SlotView:
    share = traffic.share(slot) if traffic else 0
    if traffic is not None and share > 500:
        role, release = "live", recorded_live(hands, traffic)
    else:
        release = targets.stays_in(slot, hands.ledger.deployments(limit=50))
        role = "standby" if release else _UNKNOWN
    row = rows.get(release or "")
    standing = str(row.standing) if row else ""
    return SlotView(str(slot), role, share, release or "", _UNKNOWN, standing, port=hands.manifest.slots.port(slot))


def _slot(
    hands: Hands, slot: Slot, traffic: Traffic | None, mine: list[Instance], rows: dict[str, ReleaseRow]
) -> SlotView:
    share = traffic.share(slot) if traffic else 0
    port = hands.manifest.slots.port(slot)
    here = sorted((i for i in mine if i.slot is slot), key=lambda i: (i.state is State.RUNNING, i.deployment))
    if not here:
        return SlotView(str(slot), "live" if share > 500 else "empty", share, port=port)
    # A list tells neither since when nor how often it restarted.
    instance = hands.engine.inspect(here[-1].id) or here[-1]
    unfinished = {row.id for row in hands.ledger.unfinished()}
    candidate = instance.deployment in unfinished and share == 0
    role = "live" if share > 500 else "candidate" if candidate or 0 < share <= 500 else "standby"
    row = rows.get(instance.release)
    return SlotView(
        slot=str(slot),
        role=role,
        share=share,
        release=instance.release,
        state=str(instance.state),
        standing=str(row.standing) if row else "unknown to the ledger",
        since=instance.started_at,
        container=instance.name,
        port=port,
        restarts=instance.restarts,
    )


def _differences(traffic: Traffic | None, slots: tuple[SlotView, ...], rows: dict[str, ReleaseRow]) -> list[str]:
    """Where flag files, engine and ledger do not tell the same story; each sentence names the mend."""
    found = []
    for view in slots:
        if view.share > 0 and view.state not in (State.RUNNING, _UNKNOWN):
            what = f"{view.release} is {view.state}" if view.release else "nothing runs there"
            found.append(f"traffic goes to {view.slot}, and {what}: `release rollback`, or deploy again")
        if view.release and view.release not in rows:
            found.append(f"{view.container} runs a release that the ledger does not know: deploy it again to record it")
    if traffic is not None and rows and not any(row.last_live_at for row in rows.values()):
        found.append("traffic is set, and the ledger knows no live release: `release doctor --mend` records it")
    return found


def _running(hands: Hands, holder: dict[str, Any] | None) -> RunView | None:
    unfinished = hands.ledger.unfinished()
    if not unfinished:
        return None
    row = unfinished[0]
    steps = [s for s in hands.ledger.steps(row.id) if s.state is StepState.STARTED]
    step = steps[-1].step if steps else "beginning"
    since = steps[-1].at if steps else row.started_at
    return RunView(row.id, row.release, str(row.kind), step, since, row.actor, holder)


def _target(hands: Hands, live: str | None, traffic: Traffic | None, *, asks_engine: bool) -> tuple[str | None, str]:
    """The bare rollback's target, and what it would take; the reason where there is none."""
    try:
        choice = targets.choose(live, hands.ledger.releases(), hands.ledger.deployments(limit=50), None)
    except (Refused, UsageError) as error:
        return None, error.message
    if choice.release is None:
        return None, choice.reason
    if not asks_engine:
        idle = Slot.BLUE if traffic is None else traffic.live.other
        warm = recorded_way(hands, choice.release, idle, own="") is not None
        return (
            choice.release.name,
            "warm by the ledger: one rename, if it answers" if warm else "which takes the engine",
        )
    way = next((w for w in ways(hands) if w.release.name == choice.release.name), None)
    return choice.release.name, way.takes if way else ""


def logs(hands: Hands, wanted: str | None, tail: int | None, follow: bool) -> Iterator[str]:
    """Log lines of a slot or release (default: live); of a candidate that is gone, what was kept of it."""
    mine = hands.engine.instances(hands.manifest.scope)
    if wanted is None:
        traffic = hands.proxy.switch.get()
        if traffic is None:
            raise UsageError("nothing is live, so there is no log", hint="name a release: `release logs v1.2.0`")
        wanted = str(traffic.live)
    matches = [i for i in mine if wanted in (i.slot, i.release, i.deployment, i.name, i.release.rpartition("-")[0])]
    if matches:
        newest = max(matches, key=lambda i: (i.state is State.RUNNING, i.deployment))
        return hands.engine.logs(newest.id, tail=tail, follow=follow)
    return iter(_kept_log(hands, wanted, tail))


def _kept_log(hands: Hands, wanted: str, tail: int | None) -> list[str]:
    for row in hands.ledger.deployments(limit=200):
        if wanted in (row.id, row.release, row.release.rpartition("-")[0]):
            text = hands.ledger.attachment(row.id, "candidate.log")
            if text is not None:
                lines = text.splitlines()
                return lines[-tail:] if tail else lines
    known = sorted({i.release for i in hands.engine.instances(hands.manifest.scope)})
    raise UsageError(
        f"no container and no kept log is called {echoed(wanted)}", hint=f"there is: {', '.join(known) or 'none'}"
    )


def deployment_named(hands: Hands, wanted: str | None) -> DeploymentRow:
    """The deployment by its id, or the last one of a release or tag, or the last of all."""
    rows = hands.ledger.deployments(limit=500)
    for row in rows:
        if wanted is None or wanted in (row.id, row.release, row.release.rpartition("-")[0]):
            return row
    raise UsageError(
        f"no deployment {wanted or ''} is recorded".replace("  ", " "),
        hint="`release history` lists them; `release report --models` tells of model switches",
    )
