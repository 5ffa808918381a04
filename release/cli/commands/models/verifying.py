"""`release models verify`: whether files are still those that were published."""

from __future__ import annotations

import click

from release.cli.commands.models.place import anywhere, one_place
from release.cli.session import Session
from release.cli.settings import common


@click.command()
@click.argument("component", required=False)
@click.argument("version", required=False)
@click.option(
    "--full", is_flag=True, help="By sha256 instead of a fast hash; of a URL's registry, what lies there now."
)
@anywhere
@common
@click.pass_context
def verify(
    context: click.Context,
    component: str | None,
    version: str | None,
    full: bool,
    registry: str | None,
    url: str | None,
) -> int:
    """Find out whether files are those that were published. Exit code 1 where some are not.

    In a registry of one version (`latest`: the newest stable one), of a component or of all, broken ones too; from a
    URL files are pulled into a cache for this. With --url, or where the manifest names no registry, the service that
    runs is asked: for what serves, of one component or of all, or for VERSION. It compares what it has on its own disk,
    and the environment and the mates that the version wants; its token needs the role of an operator, because that
    reads gigabytes.

    \b
      release models verify translator 1.1.0 --full
      release models verify --url http://127.0.0.1:8080
    """
    one_place(context, url, registry)
    with Session.of(context, live=True) as session:
        from dataclasses import asdict

        from release.cli.console import models as picture
        from release.operations import models as operations

        desk = session.model_desk
        section = None if registry is not None else desk.section(needed=url is None)
        service = None
        if url is not None or (registry is None and section is not None and section.registry is None):
            service = desk.service(url, section)
        if service is not None:
            where = {"service": service.url}
            found = operations.verify_running(service, component, version, full, session.report)
        else:
            asked = desk.registry(registry, section, or_service=True)
            where = {"registry": asked.where}
            found = operations.verify(asked, component, version, full, session.report)
        bad = any(one.problems for one in found)
        document = {"ok": not bad, **where, "full": full, "versions": [asdict(one) for one in found]}
        return session.show(document, lambda: picture.verified(found), 1 if bad else 0)
