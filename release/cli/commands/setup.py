"""`release init` and `release doctor`: setting up, and finding out what is wrong."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from release.cli.session import Session
from release.cli.settings import common
from release.errors import UsageError

if TYPE_CHECKING:
    from release.operations.doctor import Finding
    from release.rollout.hands import Hands
    from release.wiring.desk import Desk


@click.command()
@click.option("--dockerfile", metavar="FILE", help="Which Dockerfile, where there are several.")
@click.option("--force", is_flag=True, help="Write over files that exist.")
@click.option("--dry-run", is_flag=True, help="Print what would be written; write nothing.")
@common
@click.pass_context
def init(context: click.Context, dockerfile: str | None, force: bool, dry_run: bool) -> int:
    """Write a release.yaml and a workflow for this repository.

    Looks at the Dockerfile and the sources, picks ports that are free on this host, and says what it guessed, from
    where and how sure it is. Files that exist stay as they are.
    """
    with Session.of(context) as session:
        from release import scaffold
        from release.config.state import ports_in_use

        root = session.settings.cwd.resolve()
        found = scaffold.scan(root, taken=ports_in_use(session.desk.surroundings.root), dockerfile=dockerfile)
        if name := session.settings.service:
            found = replace(found, service=scaffold.Guess(name, "--service", scaffold.Certainty.SURE))
        files = scaffold.render(found)
        written = [] if dry_run else [str(path) for path in scaffold.write(root, files, force=force)]
        document = {"ok": True, "written": written, "files": files, "told": found.told()}

        def lines() -> list[str]:
            if dry_run:
                return [line for path, text in files.items() for line in (f"# {path}", text.rstrip(), "")]
            then = "look through release.yaml, commit both, tag (`git tag v1.0.0`), and `release deploy v1.0.0`"
            return [*found.told(), "", *(f"wrote {path}" for path in written), f"next: {then}"]

        return session.show(document, lines)


@click.command()
@click.option("--mend", is_flag=True, help="Settle dead runs, start nginx where it is down, record what serves.")
@common
@click.pass_context
def doctor(context: click.Context, mend: bool) -> int:
    """Find out what is wrong, and how to mend it.

    Holds what serves, what runs and what happened against each other, asks engine and proxy, and looks for leftovers.
    Before the first deployment it asks what that one needs. Exit code 0 where all is well, 3 where something is not:
    each such line has a ✗, and under it what to do.
    """
    with Session.of(context) as session:
        desk = session.desk
        hands = session.hands = _hands(desk)
        from release.operations.doctor import examine

        done = _mend(desk, hands) if mend else []
        if mend:  # a run that was undone took its configuration with it
            hands.ledger.close()
            hands = session.hands = _hands(desk)
        found = examine(hands, desk.holder(hands))
        well = all(finding.well for finding in found)
        document: dict[str, Any] = {"ok": well, "mended": done, "findings": [asdict(finding) for finding in found]}
        return session.show(document, partial(_lines, found, done), 0 if well else 3)


def _hands(desk: Desk) -> Hands:
    """What is deployed; before the first deployment, the manifest one stands in."""
    try:
        return desk.for_scope()
    except UsageError:
        return desk.for_manifest()


def _mend(desk: Desk, hands: Hands) -> list[str]:
    from release.operations.doctor import mend
    from release.rollout import identity

    with desk.hold(hands, f"doctor-{identity.deployment_id()}"):
        return mend(hands)


def _lines(found: list[Finding], done: list[str]) -> list[str]:
    from release.cli.console import tables

    lines = [f"{click.style('↻', fg='cyan')} {text}" for text in done]
    widest = max((tables.columns_of(finding.about) for finding in found), default=0)
    for finding in found:
        sign = click.style("✓", fg="green") if finding.well else click.style("✗", fg="red")
        first, *rest = finding.text.splitlines() or [""]
        lines.append(f"{sign} {finding.about.ljust(widest)}  {first}")
        lines += [f"  {' ' * widest}  {line.strip()}" for line in rest]
        if finding.mend and not (finding.well and finding.mend in finding.text):
            lines += [f"  {' ' * widest}  → {line.strip()}" for line in finding.mend.splitlines()]
    if all(finding.well for finding in found):
        lines.append("all is well")
    return lines
