"""`release models`: versions of models, in a registry or in a service that runs. A module a kind of command."""

from __future__ import annotations

import click

from release.cli.commands.models.collecting import gc
from release.cli.commands.models.looking import list_, show
from release.cli.commands.models.publishing import export, publish
from release.cli.commands.models.switching import promote, rollback
from release.cli.commands.models.verifying import verify
from release.cli.group import Suggesting
from release.cli.settings import common


@click.group(cls=Suggesting)
@common
def models() -> None:
    """Look at, publish and switch versions of models.

    For services that keep versions of their models with `modelhost`. The registry is `models.registry` of the
    manifest, or --registry: a directory, or a URL such as s3://bucket/models. `list`, `show`, `promote` and `rollback`
    ask the service that runs instead, where `models.url` or --url names one: there a switch takes effect at once;
    `verify` asks it with --url, and `gc` what it must leave alone. Its token is `models.token`, or RELEASE_MODELS_TOKEN
    in the environment. `publish` and `export` work on a registry alone; the services that use it find there what is
    published.

    A switch is kept in the ledger of a service, and asks the quality gate of its manifest: of the release.yaml that one
    stands beside, else of the service that is deployed here (--service, where there are several). Where there is
    neither, --registry or --url is enough: nothing is recorded then but by the registry and the service themselves, no
    gate is asked, and the command says so.
    """


for command in (list_, show, promote, rollback, publish, export, verify, gc):
    models.add_command(command)
