"""`release models publish` and `export`: versions into a registry, and out of it to MLflow."""

from __future__ import annotations

from typing import Any

import click

from release.cli.commands.models.place import registry_alone
from release.cli.session import Session
from release.cli.settings import F, common


def _tracking(command: F) -> F:
    return click.option(
        "--tracking",
        metavar="URL",
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow's server or store; default: MLFLOW_TRACKING_URI.",
    )(command)


@click.command()
@click.argument("source")
@click.argument("component", required=False)
@click.argument("version", required=False)
@click.option(
    "--metadata", metavar="FILE", help="YAML or JSON: loader, note, metrics, interface, and what else it says."
)
@click.option("--note", metavar="TEXT", help="What changed, in a sentence.")
@click.option(
    "--from", "form", type=click.Choice(["folder", "huggingface", "dvc", "mlflow"]), default="folder",
    show_default=True,
    help="What SOURCE is: a folder of files, a Hugging Face-style one, a .dvc file or an output of a dvc.lock, or a "
    "name in MLflow's registry.",
)  # fmt: skip
@_tracking
@click.option("--allow-pickle", metavar="FILE", multiple=True, help="Publish this pickle. May be repeated.")
@registry_alone
@common
@click.pass_context
def publish(
    context: click.Context,
    source: str,
    component: str | None,
    version: str | None,
    metadata: str | None,
    note: str | None,
    form: Any,
    tracking: str | None,
    allow_pickle: tuple[str, ...],
    registry: str | None,
) -> int:
    """Publish a folder of weights as a new, unstable version.

    What is said of it comes from the command line, from --metadata, and from what SOURCE says of itself: a
    `version.json`, a model card. Where something lacks, nothing is published and the refusal names all of it. A number
    is taken for good; repeated with the same files, nothing happens. The `mates` with which alone it works are named by
    their numbers in the registry, `mates: {tokenizer: 1.1.0}`, or by their digests.

    \b
      release models publish out/ translator 1.1.0 --metadata model.yaml --note 'trained on news too'
      release models publish translator@champion translator 1.1.0 --from mlflow --metadata model.yaml
      release models publish dvc.lock:models/m translator 1.1.0 --from dvc --metadata model.yaml
    """
    with Session.of(context) as session:
        from release.models.drafts import Source
        from release.operations.models import Publication
        from release.operations.models import publish as go

        desk, path = session.model_desk, session.settings.path
        asked = desk.registry(registry, None if registry is not None else desk.section())
        said = {"component": component, "version": version, "note": note}
        given = {name: value for name, value in said.items() if value is not None}
        folder, file = path(source), path(metadata)
        assert folder is not None
        told = Source(form, folder, source, tracking)
        return session.done(go(asked, Publication(told, file, given, allow_pickle), session.report))


@click.command()
@click.argument("component")
@click.argument("version", required=False, default="latest")
@click.option("--name", metavar="NAME", help="The name in MLflow's registry; default: the component's.")
@_tracking
@registry_alone
@common
@click.pass_context
def export(
    context: click.Context, component: str, version: str, name: str | None, tracking: str | None, registry: str | None
) -> int:
    """Register a version with MLflow: files, metrics, all that it says of itself.

    Without VERSION the newest stable one. Its files are verified first. Repeated with the same files it is registered
    once, and its status there follows. `publish --from mlflow` brings it back as it was.
    """
    with Session.of(context) as session:
        from release.operations.models import export as go

        desk = session.model_desk
        asked = desk.registry(registry, None if registry is not None else desk.section())
        return session.done(go(asked, component, version, tracking, name, session.report))
