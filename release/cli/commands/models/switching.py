"""`release models promote` and `rollback`: which version serves, or is marked stable."""

from __future__ import annotations

import click

from release.cli.commands.deploy import vouching
from release.cli.commands.models.place import anywhere, one_place
from release.cli.session import Session
from release.cli.settings import F, common


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


@click.command()
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
@anywhere
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
    one_place(context, url, registry)
    with Session.of(context, live=True) as session:
        from release.errors import UsageError
        from release.operations import models, models_gate, models_switch

        if without_gate is not None and not without_gate.strip():
            raise UsageError("leaving the gate out needs a reason", hint="--without-gate 'compared by hand'")
        desk = session.model_desk
        work = desk.for_switch(named=url is not None or registry is not None)
        manifest = work.manifest
        board = desk.board(url, registry, manifest.models if manifest else None, expect=expect)
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


@click.command()
@click.argument("component")
@click.option("--to", metavar="VERSION", help="A stable one, of a service older or served before.")
@click.option("--together", is_flag=True, help="Of a service: components that fit no more may go back with it.")
@_reason
@anywhere
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
    one_place(context, url, registry)
    with Session.of(context) as session:
        from release.operations import models_switch

        desk = session.model_desk
        work = desk.for_switch(named=url is not None or registry is not None)
        section = work.manifest.models if work.manifest else None
        board = desk.board(url, registry, section, together=together, expect=expect)
        return session.done(models_switch.rollback(work.hands, board, models_switch.Wish(component, to, reason)))
