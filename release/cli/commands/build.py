"""`release build` and `release check`: trying a release without going live."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import click

from release.cli.commands.deploy import tag_or_snapshot, vouching
from release.cli.session import Session
from release.cli.settings import common


@click.command()
@click.argument("tag", required=False)
@click.option("--snapshot", is_flag=True, help="Build the working tree; never pushed.")
@click.option("--push", is_flag=True, help="Push the image, where the manifest names a registry.")
@common
@click.pass_context
def build(context: click.Context, tag: str | None, snapshot: bool, push: bool) -> int:
    """Build the image of a tag, and nothing else.

    The image that exists for that commit is reused; a tag that means another commit or digest is refused.
    """
    tag_or_snapshot(context, tag, snapshot)
    with Session.of(context, live=True) as session:
        from release.operations.try_out import build as go

        desk = session.desk
        if push:
            desk.surroundings.overrides = {**desk.surroundings.overrides, "registry.push": "true"}
        hands, plan = desk.for_tag(tag, snapshot=snapshot)
        session.hands = hands
        return session.done(go(hands, plan, partial(desk.hold, hands)))


@click.command()
@click.argument("tag", required=False)
@click.option("--snapshot", is_flag=True, help="Ask about the working tree.")
@click.option("--url", metavar="URL", help="Ask about a service that runs already; nothing is started or recorded.")
@click.option("--against", metavar="URL", help="With --url: the service to compare with.")
@vouching
@common
@click.pass_context
def check(
    context: click.Context,
    tag: str | None,
    snapshot: bool,
    url: str | None,
    against: str | None,
    approve: bool,
    accept_no_data: dict[str, str],
) -> int:
    """Ask the gates about a tag or a URL; traffic stays where it is.

    With a tag: its image is built or reused, a candidate is started beside the live release, every gate asks, and the
    candidate is removed again.

    \b
      release check v1.2.0
      release check --url http://127.0.0.1:5000 --against http://127.0.0.1:8080
    """
    for name, address in (("--url", url), ("--against", against)):
        if address is not None and not _is_url(address):
            example = "http://127.0.0.1:5000"
            raise click.BadParameter(f"{address[:200]!r} is no URL, such as {example}", context, param_hint=name)
    if url is None:
        if against is not None:
            raise click.UsageError("--against needs --url", context)
        tag_or_snapshot(context, tag, snapshot)
    elif tag is not None or snapshot:
        raise click.UsageError("either a version or --url, not both", context)
    with Session.of(context, live=True) as session:
        desk = session.desk
        if url is not None:
            from release.checks import build as checks
            from release.operations.try_out import check_url

            hands = desk.for_manifest()
            with hands.interruption.handling():
                return session.done(
                    check_url(hands, checks(hands.manifest, approved=approve), url, against, desk.surroundings.cwd)
                )
        from release.operations.deploy import Wishes
        from release.operations.try_out import check as go

        hands, plan = desk.for_tag(tag, snapshot=snapshot, approve=approve)
        session.hands = hands
        wishes = Wishes(accepted=accept_no_data)
        return session.done(go(hands, plan, wishes, partial(desk.hold, hands)))


def _is_url(text: str) -> bool:
    """Whether a request can be sent there at all; else the health check would wait its whole time for nothing."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False
