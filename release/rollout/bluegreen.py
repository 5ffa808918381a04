"""Blue-green: the whole way of a deployment, read from top to bottom. All traffic moves at once, and can move back."""

from __future__ import annotations

from collections.abc import Mapping

from release.checks import ORDER
from release.pipeline.step import Step
from release.rollout.deployment import Deployment
from release.rollout.finish import Commit, Retire
from release.rollout.gates import Gate, LeftOut
from release.rollout.hands import Plan
from release.rollout.hook import Hook
from release.rollout.nginx import Reconfigure
from release.rollout.observation import Observation
from release.rollout.obtain import ObtainImage
from release.rollout.preflight import Preflight
from release.rollout.resolve import Resolve
from release.rollout.start import Start
from release.rollout.switching import Push, Switch


def steps(deployment: Deployment, plan: Plan, accepted: Mapping[str, str]) -> list[Step]:
    """Everything up to the commit. `accepted` maps a check's name to a person's reason for accepting no data."""
    hooks = deployment.hands.manifest.hooks
    return [
        Resolve(deployment, plan),
        Preflight(deployment),
        ObtainImage(deployment, plan),
        *_hook(deployment, "before_start", hooks.before_start),
        Start(deployment, plan),
        *_gates(deployment, plan, accepted),
        Push(deployment, plan.snapshot),
        *_hook(deployment, "before_switch", hooks.before_switch),
        Reconfigure(deployment),
        Switch(deployment),
        Observation(deployment),
        Commit(deployment),
    ]


def trial(deployment: Deployment, plan: Plan, accepted: Mapping[str, str], *, only_image: bool) -> list[Step]:
    """The way up to the switch and no further; a trial ends by undoing it."""
    last = "push" if only_image else "switch"
    whole = steps(deployment, plan, accepted)
    until = next(number for number, step in enumerate(whole) if step.name == last)
    if only_image:
        return [s for s in whole[: until + 1] if s.name in ("resolve", "obtain", "push")]
    return [s for s in whole[:until] if s.name not in ("push", "before_switch", "nginx")]


def commit(deployment: Deployment) -> None:
    """What recovery calls where an observation ended well without its process."""
    Commit(deployment).run()
    Retire(deployment).run()


def steps_after(deployment: Deployment) -> list[Step]:
    """What follows the commit; an interruption leaves it to the next command, which finishes it."""
    hook = deployment.hands.manifest.hooks.after_commit
    return [*_hook(deployment, "after_commit", hook), Retire(deployment)]


def _gates(deployment: Deployment, plan: Plan, accepted: Mapping[str, str]) -> list[Step]:
    gates = [Gate(deployment, check, accepted.get(check.name)) for check in plan.checks]
    left_out = [LeftOut(deployment, verdict) for verdict in plan.left_out]
    return sorted([*gates, *left_out], key=lambda gate: ORDER.index(gate.name))


def _hook(deployment: Deployment, name: str, command: str | None) -> list[Step]:
    return [Hook(deployment, name, command)] if command else []
