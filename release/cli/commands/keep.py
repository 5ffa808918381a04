"""`release accept` and `release prune`."""

from __future__ import annotations

import click

from release.cli.session import Session
from release.cli.settings import common


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

    What stays: the live release, the good ones before it (`retain` in the manifest), and whatever runs. Nothing that
    was not made by this tool for this service is ever touched.
    """
    with Session.of(context) as session:
        _, hands = session.for_scope()
        from dataclasses import asdict

        from release.operations.keep import prune as go

        found = go(hands, dry_run)
        would = "would go" if dry_run else "removed"

        def lines() -> list[str]:
            removed = [f"{would}: {name}" for name in found.removed]
            return removed or ["nothing to remove"]

        return session.show({"ok": True, "dry_run": dry_run, **asdict(found)}, lines)
