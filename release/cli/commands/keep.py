"""`release accept`, `release prune` and `release remove`."""

from __future__ import annotations

import click

from release.cli.session import Session
from release.cli.settings import common
from release.errors import UsageError


@click.command()
@click.argument("release")
@click.option("--reason", required=True, metavar="TEXT", help="Why it is good after all; kept in the ledger.")
@common
@click.pass_context
def accept(context: click.Context, release: str, reason: str) -> int:
    """Lift a rejection, with a reason.

    RELEASE (v1.2.0 or v1.2.0-abc1234) was rejected by a check or the guard, withdrawn by a rollback, or stayed
    unobserved; now it is good and a rollback may choose it.
    """
    with Session.of(context) as session:
        _, hands = session.for_scope()
        from release.operations.keep import accept as go

        return session.done(go(hands, release, reason))


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@common
@click.pass_context
def prune(context: click.Context, dry_run: bool) -> int:
    """Remove images and containers that no rollback needs.

    What stays: the live release, the good ones before it (`retain` in the manifest), and whatever runs. What a killed
    run left goes too, also a container that was created and never ran; a deployment does all this at its end. Nothing
    that was not made by this tool for this service is ever touched.
    """
    with Session.of(context) as session:
        desk, hands = session.for_scope()
        from contextlib import nullcontext
        from dataclasses import asdict

        from release.operations.keep import prune as go

        # A run that is under way may be about to start what would be removed.
        with nullcontext() if dry_run else desk.hold(hands, "prune"):
            found = go(hands, dry_run)
        would = "would go" if dry_run else "removed"

        def lines() -> list[str]:
            told = [f"{would}  {name}: {why}" for name, why in found.removed]
            told += (
                [f"stays    {name}: {why}" for name, why in found.kept] if dry_run or session.settings.verbose else []
            )
            told += [f"{click.style('failed', fg='red')}   {name}: {why}" for name, why in found.failed]
            space = f"{found.bytes / 1e6:.0f} MB {'would be' if dry_run else 'are'} free again"
            return [*told, space] if found.removed else [*told, "nothing to remove"]

        code = 3 if found.failed else 0
        return session.show({"ok": not found.failed, "dry_run": dry_run, **asdict(found)}, lines, code)


@click.command()
@click.option("--yes", is_flag=True, help="Really: traffic ends, and its history goes as well.")
@common
@click.pass_context
def remove(context: click.Context, yes: bool) -> int:
    """Take a service off this host, with all that is its own.

    Its containers, images, nginx and state go; nothing else is touched. There is no way back.
    """
    with Session.of(context) as session:
        desk, hands = session.for_scope()
        if not yes:
            raise UsageError(
                f"this ends the traffic of {hands.manifest.scope} and removes its images and history",
                hint="`release remove --yes` does it",
            )
        from release.operations.remove import remove as go

        with desk.hold(hands, "remove"):
            session.hands = None
            return session.done(go(hands))
