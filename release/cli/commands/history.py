"""`release history` and `release logs`."""

from __future__ import annotations

from dataclasses import asdict

import click

from release.cli.console import choose, harmless
from release.cli.session import Session
from release.cli.settings import common
from release.ledger.records import DeploymentRow, ModelSwitchRow
from release.naming import echoed


@click.command()
@click.option(
    "--limit", "-n", type=click.IntRange(1, 10**9), default=20, show_default=True, metavar="N", help="How many."
)
@common
@click.pass_context
def history(context: click.Context, limit: int) -> int:
    """List the deployments, rollbacks and model switches, newest first."""
    with Session.of(context) as session:
        _, hands = session.for_scope()
        from release.cli.console import history as picture
        from release.operations.models import SET

        models = hands.ledger.model_switches(limit=limit)
        rows = picture.newest(hands.ledger.deployments(limit=limit), models, limit)

        return session.show(
            {
                "ok": True,
                "deployments": [picture.as_json(row) for row in rows if isinstance(row, DeploymentRow)],
                "switches": [asdict(row) for row in hands.ledger.switches(limit=limit)],
                "model_switches": [
                    picture.model_as_json(row, hands.ledger.verdicts(row.id), hands.ledger.notes(SET, row.id))
                    for row in rows
                    if isinstance(row, ModelSwitchRow)
                ],
            },
            lambda: picture.lines(rows, choose.width()),
        )


@click.command()
@click.argument("which", metavar="[RELEASE|SLOT]", required=False)
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Only the last N lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--deployment", metavar="ID", help="The candidate of this deployment, also where it is gone.")
@common
@click.pass_context
def logs(context: click.Context, which: str | None, tail: int | None, follow: bool, deployment: str | None) -> int:
    """Show the log of a release, a slot or a failed candidate.

    Without arguments, of the live release. The log of a candidate that failed is kept with its deployment.

    \b
      release logs --tail 50 --follow
      release logs green
      release logs v1.2.0
    """
    if which is not None and deployment is not None:
        raise click.UsageError(f"either {echoed(which)} or --deployment {echoed(deployment)}, not both", context)
    with Session.of(context) as session:
        if follow and session.settings.json:
            raise click.UsageError("--follow does not end, --json prints one document; use one of them", context)
        _, hands = session.for_scope()
        from release.operations.look import logs as look

        lines = look(hands, deployment or which, tail, follow)
        if session.settings.json:
            return session.show({"ok": True, "lines": list(lines)}, list)
        try:
            for line in lines:
                click.echo(harmless.no_command(harmless.plain(line)))
        except KeyboardInterrupt:
            if not follow:
                raise
        return 0
