"""`release config show`, `check` and `schema`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from release.cli.console import choose
from release.cli.group import Suggesting
from release.cli.session import Session
from release.cli.settings import common, current

if TYPE_CHECKING:
    from release.config.load import Loaded


@click.group(cls=Suggesting)
@common
def config() -> None:
    """Show, check or describe the manifest."""


@config.command()
@click.option("--given", is_flag=True, help="Only what someone set; no defaults.")
@common
@click.pass_context
def show(context: click.Context, given: bool) -> int:
    """Print every value and where it came from: file and line, environment, flag or default."""
    with Session.of(context) as session:
        from release.config import show as rows

        loaded = _load(context)
        found = rows.rows(loaded.manifest, loaded.provenance)
        found = rows.given(found) if given else found
        document = {
            "ok": True,
            "file": str(loaded.path),
            "values": [{"key": r.key, "value": r.value, "origin": r.origin} for r in found],
        }

        def lines() -> list[str]:
            from release.cli.console import tables

            cells = [[row.key, row.value, row.origin] for row in found]
            return tables.text(["key", "value", "from"], cells, max(100, choose.width()))

        return session.show(document, lines)


@config.command()
@common
@click.pass_context
def check(context: click.Context) -> int:
    """Say whether the manifest is usable; name every mistake at once."""
    with Session.of(context) as session:
        loaded = _load(context)
        _check_notify(loaded)
        document = {"ok": True, "file": str(loaded.path), "service": loaded.manifest.service}
        return session.show(document, lambda: [f"{loaded.path} is good: {loaded.manifest.scope}"])


@config.command()
@common
@click.pass_context
def schema(context: click.Context) -> int:
    """Print JSON Schema of the manifest, for editors."""
    with Session.of(context) as session:
        from release.config.schema import schema as document
        from release.config.schema import schema_text

        return session.show(document(), lambda: [schema_text().rstrip()])


def _check_notify(loaded: Loaded) -> None:
    """Not in the loader: apprise takes longer to import than most commands take."""
    if not loaded.manifest.notify:
        return
    from release.config.complaint import Complaint, manifest_error
    from release.notify import malformed

    origin = loaded.provenance.get("notify")  # a list is one value: its line is where it begins
    found = malformed(loaded.manifest.notify)
    complaints = [Complaint(("notify", index), text, origin) for index, text in found]
    if complaints:
        raise manifest_error(complaints, loaded.path.name)


def _load(context: click.Context) -> Loaded:
    from release.config.load import load

    settings = current(context)
    path = settings.path(settings.manifest)
    return load(path, start=settings.cwd, overrides=settings.overrides, environ=os.environ)
