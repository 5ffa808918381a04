"""Looking at model versions, and keeping their registry in order. What is switched is in `models_switch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release.errors import Refused, UsageError
from release.ledger.records import ModelAction, ModelState, StepState
from release.models import drafts, sets
from release.models.base import LATEST, Collected, Held, Verified, Version
from release.naming import echoed
from release.operations.result import Result
from release.pipeline.events import Report, Said, StepBegan, StepEnded, StepProgress
from release.rollout import identity

if TYPE_CHECKING:
    from release.ledger.store import Ledger
    from release.models.registry import ModelRegistry
    from release.models.service import ModelService

_INCOMPLETE = "IncompleteMetadata"
GRACE = 7 * 86400.0  # seconds
SET = "model set"
"""The kind of a note which says, of a switch of several components, what of each was before it and is after it."""
_SWITCHED = (ModelState.SWITCHED, ModelState.MARKED)


@dataclass(frozen=True)
class Publication:
    """What a person wants to publish; `said` goes before the metadata file."""

    source: drafts.Source
    metadata: Path | None
    said: Mapping[str, Any]
    allow_pickles: Collection[str] = ()


def publish(registry: ModelRegistry, wanted: Publication, report: Report) -> Result:
    """Into the registry as an unstable version. Raises Refused, which names all that lacks, and UsageError."""

    def tell(text: str) -> None:
        report(Said(text, "warning"))

    with drafts.reading(wanted.source, wanted.metadata, wanted.said, tell) as draft:
        try:
            version, fresh = registry.publish(draft.files, draft.metadata, identity.actor(), wanted.allow_pickles)
        except Refused as error:
            if error.context.get("reason") == _INCOMPLETE:
                error.hint = "nothing was published; say these in a YAML or JSON file, and name it with --metadata"
            raise
    name = f"{version.component} {version.version}"
    text = (
        f"{name} is published, {version.bytes / 1e6:.1f} MB; it is {version.status} until it is promoted"
        if fresh
        else f"{name} was published before with the same content; it is {version.status}"
    )
    report(Said(text))
    data = {"component": version.component, "version": version.version, "digest": version.digest, "fresh": fresh}
    return Result(0, "published", text, data=data)


def export(
    registry: ModelRegistry, component: str, version: str, tracking: str | None, name: str | None, report: Report
) -> Result:
    """Into MLflow's registry, once for the same files. Raises UsageError, Refused for damaged files, ModelsError."""
    where = drafts.demand_tracking(tracking)
    number = registry.describe(component, version).version.version
    registered = registry.export(component, number, where, name)
    text = f"{component} {number} is {name or component}/{registered} in MLflow"
    report(Said(text))
    data = {"component": component, "version": number, "name": name or component, "number": registered}
    return Result(0, "exported", text, data=data)


def verify(
    registry: ModelRegistry, component: str | None, version: str | None, full: bool, report: Report
) -> list[Verified]:
    """Every version, of one component or of all, or one alone; broken ones too. Raises UsageError for wrong names."""
    number = None
    if component is not None and version is not None:
        number = next(iter(registry.stable(component)), version) if version == LATEST else version
        number = registry.number(component, number)
    names = [component] if component is not None else registry.components()
    return _verified(report, names, lambda name: registry.verify(name, full, number))


def verify_running(
    service: ModelService, component: str | None, version: str | None, full: bool, report: Report
) -> list[Verified]:
    """What serves, of one component or of all, or one version, as the service finds it. Raises UsageError for wrong
    names, ModelsError for a token of too small a role."""
    names = [component] if component is not None else list(service.serving())
    if component is None:
        for stand_in in service.stand_ins():
            names.remove(stand_in.component)
            text = f"of {stand_in.component} its fallback serves: code of the service, which nobody published"
            report(Said(text, "warning"))
    return _verified(report, names, lambda name: [service.verify(name, version, full)])


def _verified(report: Report, names: Sequence[str], look: Callable[[str], list[Verified]]) -> list[Verified]:
    step, began = "verify", time.monotonic()
    report(StepBegan(step))
    found: list[Verified] = []
    for name in names:
        report(StepProgress(step, name))
        found += look(name)
    state = StepState.FAILED if any(one.problems for one in found) else StepState.DONE
    report(StepEnded(step, state, f"{len(found)} version{'' if len(found) == 1 else 's'}", time.monotonic() - began))
    return found


def collect(
    registry: ModelRegistry,
    in_use: Collection[tuple[str, str]],
    pinned: Collection[tuple[str, str]],
    keep: int,
    grace: float,
    dry_run: bool,
    places: Collection[str] = (),
) -> Collected:
    """Removes versions that nothing needs; `grace` in seconds, `places` of clusters that are not in the registry.

    Raises UsageError for a pin that is no version, Refused where it cannot be told what a cluster wants.
    """
    for component, version in pinned:
        registry.number(component, version)
    return registry.collect(in_use, pinned, keep, grace, dry_run, places)


def switched_to(ledger: Ledger) -> list[tuple[str, str]]:
    """Component and version of what was switched to last, its set included, and of what a promotion replaced: a
    rollback may want it."""
    sets = {note.deployment: note.data for note in ledger.notes(SET)}
    found: dict[str, list[tuple[str, str]]] = {}
    for row in ledger.model_switches(limit=500):
        if row.state not in _SWITCHED:
            continue
        promoted, said = row.action is ModelAction.PROMOTE, sets.get(row.id, {})
        before = said.get("before", {}) if promoted else {}
        moved = {name: (version, before.get(name)) for name, version in said.get("versions", {}).items()}
        own = {row.component: (row.version, row.after, row.before if promoted else None)}
        for name, versions in {**moved, **own}.items():
            found.setdefault(name, [(name, one) for one in dict.fromkeys(versions) if one is not None])
    return [name for names in found.values() for name in names]


def held(service: ModelService, component: str | None) -> list[Held]:
    """What a service knows of, of one component or of all. Raises UsageError for a component that it does not have."""
    found = sorted([*service.stand_ins(), *service.held()], key=lambda one: one.component)
    wanted = [one for one in found if component in (None, one.component)]
    if not wanted and component is not None:
        there = ", ".join(dict.fromkeys(one.component for one in found)) or "none"
        raise UsageError(f"{service.url} has no component {echoed(component)}", hint=f"there is {there}")
    return wanted


def told_of(service: ModelService, component: str, version: str) -> tuple[Held, dict[str, Any]]:
    """A version as a service holds it (`latest`: the one that serves), and what it tells of it."""
    known = held(service, component)
    number = version.removeprefix("v")
    for one in known:
        if one.version == number or (version == LATEST and one.serves):
            return one, service.describe(component, one.version)
    there = ", ".join(one.version for one in known)
    raise UsageError(f"{service.url} has no version {echoed(version)} of {component}", hint=f"there is {there}")


def mates_published(registry: ModelRegistry, version: Version) -> dict[str, list[str]]:
    """Component → the versions of it that a version works with."""
    there = registry.components() if version.mates else []
    return sets.bearers(
        version.mates, [each for name in version.mates if name in there for each in registry.versions(name)]
    )


def mates_known(service: ModelService, one: Held) -> dict[str, list[str]]:
    """As `mates_published`, of a version that a service knows."""
    return sets.bearers(one.mates, service.held() if one.mates else [])


def in_memory(service: ModelService) -> list[tuple[str, str]]:
    """Component and version of all that a service serves or holds. Raises ModelsError where it cannot be asked."""
    return [(one.component, one.version) for one in service.held() if one.serves or one.state != "UNAVAILABLE"]


def named(text: str, option: str = "--pin") -> tuple[str, str]:
    """`translator=1.0.0` → component and version. Raises UsageError."""
    component, sign, version = text.partition("=")
    if not sign or not component.strip() or not version.strip():
        raise UsageError(f"{echoed(text)} is no COMPONENT=VERSION", hint=f"{option} translator=1.0.0")
    return component.strip(), version.strip()


def as_json(version: Version) -> dict[str, Any]:
    return {name: getattr(version, name) for name in Version.__dataclass_fields__} | {
        "created": version.created.isoformat()
    }
