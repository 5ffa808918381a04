"""`release models list` and `show`: what versions there are, and all that is known of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from release.cli.commands.models.place import anywhere, one_place
from release.cli.console import choose
from release.cli.session import Session
from release.cli.settings import common

if TYPE_CHECKING:
    from release.models.service import ModelService


@click.command("list")
@click.argument("component", required=False)
@anywhere
@common
@click.pass_context
def list_(context: click.Context, component: str | None, registry: str | None, url: str | None) -> int:
    """List the versions of one component or of all, newest first.

    In a registry with what each is; of a service with what is in memory, what serves in which generation, and the
    members of its cluster that do not serve it.
    """
    one_place(context, url, registry)
    with Session.of(context) as session:
        from release.cli.console import models as picture
        from release.operations.models import as_json

        desk = session.model_desk
        section = None if registry is not None else desk.section(needed=url is None)
        if registry is None and (service := desk.service(url, section)) is not None:
            return _held(session, service, component)
        asked = desk.registry(registry, section, or_service=True)
        found = asked.versions(component)
        document = {"ok": True, "registry": asked.where, "versions": [as_json(one) for one in found]}
        return session.show(document, lambda: picture.listed(found, choose.width()))


def _held(session: Session, service: ModelService, component: str | None) -> int:
    from dataclasses import asdict

    from release.cli.console import models as picture
    from release.operations.models import held

    found, (generation, behind) = held(service, component), service.standing()
    versions = [asdict(one) for one in found]
    document = {"ok": True, "service": service.url, "generation": generation, "behind": behind, "versions": versions}
    return session.show(document, lambda: picture.held(found, generation, behind, choose.width()))


@click.command()
@click.argument("component")
@click.argument("version", required=False, default="latest")
@anywhere
@common
@click.pass_context
def show(context: click.Context, component: str, version: str, registry: str | None, url: str | None) -> int:
    """Show all that is known of a version.

    From a registry what it says of itself, and who changed its status; without VERSION of the newest stable one. From a
    service what it tells of it; without VERSION of the one that serves.
    """
    one_place(context, url, registry)
    with Session.of(context) as session:
        from release.cli.console import models as picture
        from release.operations.models import as_json, mates_published

        desk = session.model_desk
        section = None if registry is not None else desk.section(needed=url is None)
        if registry is None and (service := desk.service(url, section)) is not None:
            return _described(session, service, component, version)
        asked = desk.registry(registry, section, or_service=True)
        found = asked.describe(component, version)
        mates = mates_published(asked, found.version)
        document = {
            "ok": True,
            "registry": asked.where,
            **as_json(found.version),
            "mate_versions": mates,
            "says": found.says,
            "log": [{"at": c.at.isoformat(), "status": c.status, "who": c.who, "why": c.why} for c in found.log],
        }
        return session.show(document, lambda: picture.described(found, mates))


def _described(session: Session, service: ModelService, component: str, version: str) -> int:
    from dataclasses import asdict

    from release.cli.console import models as picture
    from release.operations.models import mates_known, told_of

    one, says = told_of(service, component, version)
    mates = mates_known(service, one)
    document = {"ok": True, "service": service.url, **asdict(one), "mate_versions": mates, "says": says}
    return session.show(document, lambda: picture.told(one, says, mates))
