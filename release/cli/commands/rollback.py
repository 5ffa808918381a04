"""`release rollback` and `release abort`: the two that are in a hurry, so they import little and draw nothing live."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from release.cli.console import choose
from release.cli.session import Session
from release.cli.settings import common

if TYPE_CHECKING:
    from release.rollout.hands import Hands


@click.command()
@click.option("--to", metavar="NAME", help="A release that was live before: v1.1.0 or v1.1.0-abc1234.")
@click.option("--list", "list_", is_flag=True, help="Show the targets and what each would take; change nothing.")
@click.option("--reason", metavar="TEXT", default="", help="Kept in the ledger, and told to those who are notified.")
@common
@click.pass_context
def rollback(context: click.Context, to: str | None, list_: bool, reason: str) -> int:
    """Bring the previous good release back, at once.

    Without arguments it undoes the last change of the live release: one rename where the standby is warm. It works
    from any directory, during a deployment's observation, with a full disk, and while the engine hangs; given twice,
    the second changes nothing. The release that was left is withdrawn.

    \b
      release rollback
      release rollback --list
      release rollback --to v1.1.0 --reason 'wrong answers for addresses'
    """
    with Session.of(context) as session:
        desk, hands = session.for_scope()
        if list_:
            return _list(session, hands)
        from release.operations.rollback import rollback as go

        return session.done(go(hands, to, reason, partial(desk.try_hold, hands)))


def _list(session: Session, hands: Hands) -> int:
    from release.operations.rollback import ways

    found = [
        {
            "release": way.release.name,
            "standing": str(way.release.standing),
            "last_live_at": way.release.last_live_at,
            "takes": way.takes,
            "how": way.how,
            "reason": way.release.reason,
        }
        for way in ways(hands)
    ]

    def lines() -> list[str]:
        from release.cli.console import tables

        if not found:
            return ["no other release was ever live"]
        names = ("release", "standing", "last_live_at", "takes")
        rows = [[str(way[name] or "") for name in names] for way in found]
        return tables.text(["release", "standing", "was live", "takes"], rows, choose.width())

    return session.show({"ok": True, "targets": found}, lines)


@click.command()
@click.option("--reason", metavar="TEXT", default="", help="Kept in the ledger.")
@common
@click.pass_context
def abort(context: click.Context, reason: str) -> int:
    """End the deployment that is under way; traffic goes back.

    The run's own process cleans up and ends as superseded; one that is dead is settled here. With none under way
    nothing changes.
    """
    with Session.of(context) as session:
        desk, hands = session.for_scope()
        from release.operations.abort import abort as go

        return session.done(go(hands, reason, partial(desk.try_hold, hands)))
