"""`release models gc`: the garbage of a registry, versions that nothing needs."""

from __future__ import annotations

import click

from release.cli.commands.models.place import is_url, registry
from release.cli.session import Session
from release.cli.settings import common


def _are_urls(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for value in values if is_url(context, parameter, value))


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go; remove nothing.")
@click.option("--keep", type=click.IntRange(3), metavar="N", help="Stable versions kept of each component; default 3.")
@click.option("--pin", metavar="COMPONENT=VERSION", multiple=True, help="Keep this one. May be repeated.")
@click.option(
    "--place", metavar="WHERE", multiple=True, help="Where a cluster keeps what it desires, if not in the registry."
)
@click.option(
    "--url",
    "urls",
    metavar="URL",
    multiple=True,
    callback=_are_urls,
    help="A service that reads the registry: what it serves and holds stays. May be repeated.",
)
@click.option(
    "--no-service",
    is_flag=True,
    help="Say that no service reads the registry, but members of clusters: they are known.",
)
@registry
@common
@click.pass_context
def gc(
    context: click.Context,
    dry_run: bool,
    keep: int | None,
    pin: tuple[str, ...],
    place: tuple[str, ...],
    urls: tuple[str, ...],
    no_service: bool,
    registry: str | None,
) -> int:
    """Remove versions that nothing needs.

    What stays: the newest stable ones of each component (`models.keep`), what was switched to last and the one before
    it, what the services of `models.url` and --url serve and have in memory, what a cluster desires, serves or may go
    back to, candidates, what is pinned, and the mates of all these. A number that is gone stays taken.

    Where it cannot be told what a cluster desires, nothing is removed; and nothing where no service was asked, for one
    may serve a version of any age, unless --no-service says that there is none. Name every service that reads the
    registry: one that runs outside a cluster leaves no trace in it.

    \b
      release models gc --registry /srv/models --url http://127.0.0.1:8080 --dry-run
      release models gc --registry s3://bucket/models --no-service
    """
    with Session.of(context) as session:
        from dataclasses import asdict

        from release.operations import models as operations
        from release.operations.models_use import used

        desk = session.model_desk
        pinned = [operations.named(text) for text in pin]
        section = desk.section(needed=registry is None)
        asked = desk.registry(registry, section)
        own = [None] if registry is None and section is not None and section.url not in (None, *urls) else []
        services = [service for url in (*own, *urls) if (service := desk.service(url, section)) is not None]
        found = operations.collect(
            asked,
            in_use=[
                *desk.switched(),
                *used(asked, services, none_there=no_service, dry_run=dry_run, report=session.report),
            ],
            pinned=pinned,
            keep=keep if keep is not None else section.keep if section is not None else 3,
            grace=section.grace if section is not None else operations.GRACE,
            dry_run=dry_run,
            places=[where if "://" in where else str(session.settings.path(where)) for where in place],
        )

        def lines() -> list[str]:
            gone = [one for one in found.verdicts if not one.stays]
            told = [f"{'would go' if dry_run else 'removed'}  {c.component} {c.version}: {c.reason}" for c in gone]
            if dry_run or session.settings.verbose:
                told += [f"stays    {c.component} {c.version}: {c.reason}" for c in found.verdicts if c.stays]
            told += [f"{'would go' if dry_run else 'swept  '}  {name}" for name in found.swept]
            space = f"{found.bytes / 1e6:.1f} MB {'would be' if dry_run else 'are'} free again"
            return [*told, space] if gone else told if found.swept else [*told, "nothing to remove"]

        where = {"registry": asked.where, "services": [service.url for service in services]}
        return session.show({"ok": True, "dry_run": dry_run, **where, **asdict(found)}, lines)
