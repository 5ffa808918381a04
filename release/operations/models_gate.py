"""The quality gate of a model switch: the version that is to serve against the one that does, on the benchmark set."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from release.checks.base import Subject, Target
from release.errors import Refused, ReleaseError, UsageError
from release.ledger.records import StepState
from release.models.base import Board, Running
from release.operations.models_unrecorded import Switching
from release.pipeline.events import Said, StepBegan, StepEnded, StepProgress, VerdictGiven
from release.verdict import Outcome, Verdict, no_data, skipped

if TYPE_CHECKING:
    from release.config.checks import Quality
    from release.config.rollout import Freeze

NAME = "quality"
_STATES = {Outcome.PASS: StepState.DONE, Outcome.SKIPPED: StepState.SKIPPED}


@dataclass(frozen=True)
class Gate:
    """`section` is the manifest's `checks.quality`, None where it has none; `tree` the folder that its cases lie in.

    `without` is a person's reason for not asking at all, `accepted` one for taking no data as good enough. `freeze`:
    the windows in which nothing is promoted without a reason.
    """

    section: Quality | None
    tree: Path
    without: str | None = None
    accepted: str | None = None
    approved: bool = False
    freeze: Sequence[Freeze] = ()


def with_cases(section: Quality | None, cases: Path | None) -> Quality | None:
    """The section with another benchmark set. Raises UsageError where nothing says how the service is asked."""
    if cases is None:
        return section
    if section is None:
        raise UsageError(
            "there is a benchmark set, and nothing says how the service is asked",
            hint="describe request, answer and metrics under checks.quality in release.yaml",
        )
    return section.model_copy(update={"cases": str(cases.absolute())})


@contextlib.contextmanager
def passed(
    hands: Switching, switch_id: str, gate: Gate, board: Board, versions: Mapping[str, str]
) -> Iterator[Verdict]:
    """Asks these as one set (component → version; requests name the first), keeps the verdict under the switch's id,
    and enters its block only where that is green. Raises Refused.

    What it brought into the memory of a service leaves again where it, or the block, fails or is interrupted.
    """
    brought: list[tuple[str, str]] = []
    try:
        yield _require(hands, switch_id, gate, board, versions, brought)
    except BaseException:
        hands.interruption.disarm()  # a signal from here on does not cut what is taken back
        _take_back(hands, board.running, brought)
        raise


def _require(
    hands: Switching,
    switch_id: str,
    gate: Gate,
    board: Board,
    versions: Mapping[str, str],
    brought: list[tuple[str, str]],
) -> Verdict:
    hands.report(StepBegan(NAME))
    began = time.monotonic()
    verdict = replace(_ask(hands, gate, board, versions, brought), seconds=round(time.monotonic() - began, 3))
    hands.ledger.save_verdict(switch_id, verdict)
    hands.report(VerdictGiven(verdict))
    hands.report(StepEnded(NAME, _STATES.get(verdict.outcome, StepState.FAILED), verdict.reason, verdict.seconds))
    if gate.without is not None:
        hands.ledger.note("gate left out", gate.without, switch_id, check=NAME, actor=hands.actor)
    elif verdict.outcome is Outcome.NO_DATA and gate.accepted is not None:
        hands.ledger.note("accepted no data", gate.accepted, switch_id, check=NAME, actor=hands.actor)
    elif not verdict.green:
        raise _refusal(verdict, board)
    hands.interruption.check()  # what asks may have swallowed a signal
    return verdict


def _ask(
    hands: Switching, gate: Gate, board: Board, versions: Mapping[str, str], brought: list[tuple[str, str]]
) -> Verdict:
    if gate.without is not None:
        return skipped(NAME, f"left out by {hands.actor}: {gate.without}")
    if gate.section is None:
        return skipped(NAME, f"not configured (checks.{NAME})")
    if board.running is None:
        return no_data(NAME, f"nothing that runs was asked: {board.where} is a registry")
    from release.checks.quality import QualityCheck

    running, live = board.running, _live(board, versions)
    for component, version in reversed([*versions.items()]):  # mates first
        hands.report(StepProgress(NAME, f"loading {component} {version}"))
        _bring(running, component, version, brought)
    with tempfile.TemporaryDirectory() as scratch:
        subject = Subject(
            candidate=_target(running, versions),
            live=None if live is None else _target(running, live),
            tree=gate.tree,
            work=Path(scratch),
            progress=lambda text: hands.report(StepProgress(NAME, text)),
            alive=hands.interruption.check,
        )
        return QualityCheck(gate.section, approved=gate.approved).run(subject)


def _bring(running: Running, component: str, version: str, brought: list[tuple[str, str]]) -> None:
    """Loads it, and adds it to what was `brought` where it was not there: before the load, because the service goes on
    with one whose answer nobody waits for any more."""
    name = component, version
    if not running.is_there(component, version):
        brought.append(name)
    fresh = running.prepare(component, version)
    if name in brought and not fresh:
        brought.remove(name)  # somebody else was quicker
    elif fresh and name not in brought:
        brought.append(name)  # it was there, and is held from now on


def _take_back(hands: Switching, running: Running | None, brought: list[tuple[str, str]]) -> None:
    if running is None:
        return  # a registry, where nothing is brought anywhere
    for component, version in brought:
        try:
            running.leave(component, version)
        except (Refused, UsageError):
            continue  # it serves after all, or has left by itself
        except ReleaseError as error:
            text = f"{component} {version} was loaded for the gate and may still be in memory: {error.message}"
            hands.report(Said(text, "warning"))


def _live(board: Board, versions: Mapping[str, str]) -> dict[str, str] | None:
    """What serves of these components; None where something of it does not."""
    current = {name: board.current(name) for name in versions}
    live = {name: version for name, version in current.items() if version is not None}
    return live if len(live) == len(current) else None


def _target(running: Running, versions: Mapping[str, str]) -> Target:
    named = ", ".join(f"{component} {version}" for component, version in versions.items())
    return Target(running.url, named, headers=running.headers(versions), proof=running.proof(versions))


def _refusal(verdict: Verdict, board: Board) -> Refused:
    if verdict.outcome is not Outcome.NO_DATA:
        return Refused(f"{NAME} refused it: {verdict.reason}", hint="`release history --json` keeps the evidence")
    if board.running is not None:
        hint = f"mend what is missing, or vouch for it: --accept-no-data {NAME}='the reason'"
    else:
        hint = "--url asks the service that runs; --without-gate 'the reason' promotes without asking"
    return Refused(f"{NAME} could not tell: {verdict.reason}", hint=hint)
