"""`release models`: versions of models, in a registry or in a service that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from release.cli.commands.deploy import vouching
from release.cli.console import choose
from release.cli.group import Suggesting
from release.cli.session import Session
from release.cli.settings import F, common

if TYPE_CHECKING:
    from release.models.service import ModelService


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


def _registry(command: F) -> F:
    return click.option("--registry", metavar="WHERE", help="Another registry than the manifest's: directory or URL.")(
        command
    )


def _tracking(command: F) -> F:
    return click.option(
        "--tracking",
        metavar="URL",
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow's server or store; default: MLFLOW_TRACKING_URI.",
    )(command)


def _anywhere(command: F) -> F:
    """Adds what names a registry or a service: not both."""
    url = click.option("--url", metavar="URL", callback=_is_url, help="The running service, by its model API.")
    return url(_registry(command))


def _is_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value[:200]!r} is no URL, such as http://127.0.0.1:8080", context, parameter)
    return value


def _are_urls(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value for value in values if _is_url(context, parameter, value))


def _registry_alone(command: F) -> F:
    """--registry, and an answer for who wants a service to do what only a registry can."""
    said = "A running service: not what this command works on, as its refusal says."
    url = click.option("--url", hidden=True, expose_value=False, callback=_no_service, help=said)
    return url(_registry(command))


def _no_service(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            f"`release models {context.info_name}` works on a registry, not on a service that runs: "
            "--registry names the one that the service reads",
            context,
        )


def _one_place(context: click.Context, url: str | None, registry: str | None) -> None:
    if url is not None and registry is not None:
        raise click.UsageError("either --url or --registry, not both", context)


def _reason(command: F) -> F:
    return click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the ledger and the registry.")(
        command
    )


def _expect(command: F) -> F:
    return click.option(
        "--expect",
        type=click.IntRange(0),
        metavar="N",
        help="Of a service: only where its generation is N, as `models list` told it; else exit code 6.",
    )(command)


# -- looking -------------------------------------------------------------------------------------------------------


@models.command("list")
@click.argument("component", required=False)
@_anywhere
@common
@click.pass_context
def list_(context: click.Context, component: str | None, registry: str | None, url: str | None) -> int:
    """List the versions of one component or of all, newest first.

    In a registry with what each is; of a service with what is in memory, what serves in which generation, and the
    members of its cluster that do not serve it.
    """
    _one_place(context, url, registry)
    with Session.of(context) as session:
        from release.cli.console import models as picture
        from release.operations.models import as_json

        desk = session.desk
        section = None if registry is not None else desk.models(needed=url is None)
        if registry is None and (service := desk.model_service(url, section)) is not None:
            return _held(session, service, component)
        asked = desk.model_registry(registry, section, or_service=True)
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


@models.command()
@click.argument("component")
@click.argument("version", required=False, default="latest")
@_anywhere
@common
@click.pass_context
def show(context: click.Context, component: str, version: str, registry: str | None, url: str | None) -> int:
    """Show all that is known of a version.

    From a registry what it says of itself, and who changed its status; without VERSION of the newest stable one. From a
    service what it tells of it; without VERSION of the one that serves.
    """
    _one_place(context, url, registry)
    with Session.of(context) as session:
        from release.cli.console import models as picture
        from release.operations.models import as_json, mates_published

        desk = session.desk
        section = None if registry is not None else desk.models(needed=url is None)
        if registry is None and (service := desk.model_service(url, section)) is not None:
            return _described(session, service, component, version)
        asked = desk.model_registry(registry, section, or_service=True)
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


# -- switching -----------------------------------------------------------------------------------------------------


@models.command()
@click.argument("component")
@click.argument("version")
@click.option(
    "--with",
    "others",
    metavar="OTHER=VERSION",
    multiple=True,
    help="Promote this with it, as one set. May be repeated.",
)
@click.option("--together", is_flag=True, help="Promote the mates that it names with it, as one set.")
@_reason
@_anywhere
@_expect
@click.option("--cases", metavar="FILE", help="Another benchmark set than that of checks.quality.")
@click.option("--without-gate", metavar="REASON", help="Do not ask the quality gate, and say why; kept in the ledger.")
@vouching
@click.option("--ignore-freeze", metavar="REASON", help="Promote within a freeze window, and say why.")
@click.option("--restore", is_flag=True, help="Of a service: also where it was rejected, as by a rollback by mistake.")
@common
@click.pass_context
def promote(
    context: click.Context,
    component: str,
    version: str,
    others: tuple[str, ...],
    together: bool,
    reason: str,
    registry: str | None,
    url: str | None,
    expect: int | None,
    cases: str | None,
    without_gate: str | None,
    approve: bool,
    accept_no_data: dict[str, str],
    ignore_freeze: str | None,
    restore: bool,
) -> int:
    """Let a version serve, or mark it stable, after the quality gate.

    A service that runs loads it beside what serves, is asked the benchmark set (`checks.quality`, or --cases) by both,
    and switches where the new one is not worse. In a registry it is marked stable once its files are found to be those
    that were published: a service that never served begins with it, and one that did keeps what it serves, also when it
    is restarted, until --url switches it. Nothing runs there that could be asked, so where there is a benchmark set it
    takes --without-gate. What names a mate that is not stable there is refused, unless the mate comes with it.

    What works only together, as a model with a new vocabulary, is promoted as one set: its mates, which it names by
    their digests, come with --together, or are named by --with. They answer the benchmark set together, where COMPONENT
    is the one whose version requests name. In a registry all of them are marked, or none. Of a service COMPONENT may be
    a set of its configuration: VERSION is that of the first component, and the others come as what fits it.

    \b
      release models promote translator 1.1.0 --reason 'better on names'
      release models promote model 1.2.0 --together --reason 'a vocabulary of its own'
      release models promote model 1.2.0 --with tokenizer=1.1.0 --reason 'a vocabulary of its own'
      release models promote translation 1.2.0 --url http://127.0.0.1:8080 --reason 'the whole set'
      release models promote translator 1.1.0 --reason 'better on names' --without-gate 'compared by hand'
      release models promote translator 1.1.0 --reason 'better on names' --registry /srv/models
      release models promote translator 1.1.0 --reason 'it was not the model' --restore
    """
    _one_place(context, url, registry)
    with Session.of(context, live=True) as session:
        from release.errors import UsageError
        from release.operations import models, models_gate, models_switch

        if without_gate is not None and not without_gate.strip():
            raise UsageError("leaving the gate out needs a reason", hint="--without-gate 'compared by hand'")
        desk = session.desk
        work = desk.for_models(named=url is not None or registry is not None)
        manifest = work.manifest
        board = desk.model_board(url, registry, manifest.models if manifest else None, expect=expect)
        gate = models_gate.Gate(
            models_gate.with_cases(manifest.checks.quality if manifest else None, session.settings.path(cases)),
            work.tree,
            without=without_gate,
            accepted=accept_no_data.get(models_gate.NAME),
            approved=approve,
            freeze=manifest.freeze if manifest else (),
        )
        more = dict(models.named(text, "--with") for text in others)
        if len(more) < len(others):
            raise UsageError("--with names a component twice", hint="a set has one version of each")
        wish = models_switch.Wish(component, version, reason, ignore_freeze, restore, more, together)
        return session.done(models_switch.promote(work.hands, board, wish, gate, work.hold))


@models.command()
@click.argument("component")
@click.option("--to", metavar="VERSION", help="A stable one, of a service older or served before.")
@click.option("--together", is_flag=True, help="Of a service: components that fit no more may go back with it.")
@_reason
@_anywhere
@_expect
@common
@click.pass_context
def rollback(
    context: click.Context,
    component: str,
    to: str | None,
    together: bool,
    reason: str,
    registry: str | None,
    url: str | None,
    expect: int | None,
) -> int:
    """Go back to the version before, or to a named one.

    Of a service to what served before and is stable, in a registry to the newest stable one below `latest`: a service
    that runs is not told of that. What is left is rejected, and comes back only by `promote`, of a service with
    --restore. Given twice it goes further back. Of a service COMPONENT may be a set of its configuration, which goes
    back as one.
    It waits for nothing: no gate is asked, and a deployment that is under way does not matter.

    \b
      release models rollback translator --reason 'wrong names'
      release models rollback translator --to 1.0.0 --reason 'wrong names'
    """
    _one_place(context, url, registry)
    with Session.of(context) as session:
        from release.operations import models_switch

        desk = session.desk
        work = desk.for_models(named=url is not None or registry is not None)
        section = work.manifest.models if work.manifest else None
        board = desk.model_board(url, registry, section, together=together, expect=expect)
        return session.done(models_switch.rollback(work.hands, board, models_switch.Wish(component, to, reason)))


# -- the registry itself -------------------------------------------------------------------------------------------


@models.command()
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
@_registry_alone
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

        desk, path = session.desk, session.settings.path
        asked = desk.model_registry(registry, None if registry is not None else desk.models())
        said = {"component": component, "version": version, "note": note}
        given = {name: value for name, value in said.items() if value is not None}
        folder, file = path(source), path(metadata)
        assert folder is not None
        told = Source(form, folder, source, tracking)
        return session.done(go(asked, Publication(told, file, given, allow_pickle), session.report))


@models.command()
@click.argument("component")
@click.argument("version", required=False, default="latest")
@click.option("--name", metavar="NAME", help="The name in MLflow's registry; default: the component's.")
@_tracking
@_registry_alone
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

        desk = session.desk
        asked = desk.model_registry(registry, None if registry is not None else desk.models())
        return session.done(go(asked, component, version, tracking, name, session.report))


@models.command()
@click.argument("component", required=False)
@click.argument("version", required=False)
@click.option(
    "--full", is_flag=True, help="By sha256 instead of a fast hash; of a URL's registry, what lies there now."
)
@_anywhere
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
    _one_place(context, url, registry)
    with Session.of(context, live=True) as session:
        from dataclasses import asdict

        from release.cli.console import models as picture
        from release.operations import models as operations

        desk = session.desk
        section = None if registry is not None else desk.models(needed=url is None)
        service = None
        if url is not None or (registry is None and section is not None and section.registry is None):
            service = desk.model_service(url, section)
        if service is not None:
            where = {"service": service.url}
            found = operations.verify_running(service, component, version, full, session.report)
        else:
            asked = desk.model_registry(registry, section, or_service=True)
            where = {"registry": asked.where}
            found = operations.verify(asked, component, version, full, session.report)
        bad = any(one.problems for one in found)
        document = {"ok": not bad, **where, "full": full, "versions": [asdict(one) for one in found]}
        return session.show(document, lambda: picture.verified(found), 1 if bad else 0)


@models.command()
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
@_registry
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

        desk = session.desk
        pinned = [operations.named(text) for text in pin]
        section = desk.models(needed=registry is None)
        asked = desk.model_registry(registry, section)
        own = [None] if registry is None and section is not None and section.url not in (None, *urls) else []
        services = [service for url in (*own, *urls) if (service := desk.model_service(url, section)) is not None]
        found = operations.collect(
            asked,
            in_use=[
                *desk.switched_models(),
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
