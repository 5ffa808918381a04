"""`release deploy`."""

from __future__ import annotations

import click

from release.cli.session import Session
from release.cli.settings import F, common

_GATES = ("health", "warmup", "contract", "integration", "quality", "latency")  # checks.ORDER, which is slow to import


def reasons(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """`CHECK=REASON` pairs; the reason is kept with the deployment, so it may not be empty."""
    found = {}
    for text in value:
        name, sign, reason = text.partition("=")
        if not sign or not name.strip() or not reason.strip():
            raise click.BadParameter(
                f"{text!r} is no CHECK=REASON, such as latency='no traffic yet'", context, parameter
            )
        if name.strip() not in _GATES:
            raise click.BadParameter(f"{name.strip()!r} is no check; there is: {', '.join(_GATES)}", context, parameter)
        found[name.strip()] = reason.strip()
    return found


def tag_or_snapshot(context: click.Context, tag: str | None, snapshot: bool) -> None:
    """Raises a usage error unless exactly one of the two was given."""
    if tag is None and not snapshot:
        example = f"{context.command_path} v1.2.0"
        raise click.UsageError(f"name a version: `{example}`, or --snapshot for the working tree", context)
    if tag is not None and snapshot:
        raise click.UsageError(f"either {tag} or --snapshot, not both", context)


def vouching(command: F) -> F:
    """Adds what a person may say on behalf of a gate."""
    approve = click.option(
        "--approve", is_flag=True, help="You have looked at the sample that the quality gate holds for a person."
    )
    accept = click.option(
        "--accept-no-data",
        metavar="CHECK=REASON",
        multiple=True,
        callback=reasons,
        help="Let a check that could not tell pass, and say why. May be repeated.",
    )
    return approve(accept(command))


@click.command()
@click.argument("tag", required=False)
@click.option("--snapshot", is_flag=True, help="Deploy the working tree; never pushed.")
@click.option("--again", is_flag=True, help="Deploy even where exactly this release is live.")
@vouching
@click.option("--ignore-freeze", metavar="REASON", help="Deploy within a freeze window, and say why.")
@common
@click.pass_context
def deploy(
    context: click.Context,
    tag: str | None,
    snapshot: bool,
    again: bool,
    approve: bool,
    accept_no_data: dict[str, str],
    ignore_freeze: str | None,
) -> int:
    """Take a tag to live traffic, through every gate.

    TAG is a git tag (v1.2.0) or a full release name (v1.2.0-abc1234). The image is built from exactly that commit, or
    reused. Nothing touches live traffic before every gate is green; a failure before the switch costs users nothing,
    and a breach after it switches back.

    \b
      release deploy v1.2.0
      release deploy v1.2.0 --accept-no-data latency='no traffic on this host yet'
    """
    tag_or_snapshot(context, tag, snapshot)
    with Session.of(context, live=True) as session:
        from functools import partial

        from release.operations.deploy import Wishes
        from release.operations.deploy import deploy as go

        desk = session.desk
        hands, plan = desk.for_tag(tag, snapshot=snapshot, approve=approve)
        session.hands = hands
        wishes = Wishes(accepted=accept_no_data, again=again, ignore_freeze=ignore_freeze)
        return session.done(go(hands, plan, wishes, partial(desk.hold, hands)))
