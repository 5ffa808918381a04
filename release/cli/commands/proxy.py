"""`release proxy`: nginx in front of the service."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from release.cli.group import Suggesting
from release.cli.session import Session
from release.cli.settings import common
from release.errors import UsageError

if TYPE_CHECKING:
    from release.rollout.hands import Hands


@click.group(cls=Suggesting)
@common
def proxy() -> None:
    """Install, look at or take down nginx in front of the service."""


@proxy.command()
@click.option("--systemd", is_flag=True, help="Also write and enable systemd units, so that it survives a reboot.")
@common
@click.pass_context
def install(context: click.Context, systemd: bool) -> int:
    """Render, test and start nginx for the manifest; harmless where that is done already."""
    with Session.of(context) as session:
        hands = session.hands = session.desk.for_manifest()
        changed = hands.proxy.install()
        told = [f"nginx answers on {hands.proxy.public_url}{'' if changed else '; nothing had to change'}"]
        if systemd:
            told.append(_enable(hands))
        document = {"ok": True, "changed": changed, "url": hands.proxy.public_url, "text": "; ".join(told)}
        return session.show(document, lambda: told)


@proxy.command()
@common
@click.pass_context
def status(context: click.Context) -> int:
    """Say whether nginx is installed, answers, is current, and survives a reboot. Exit code 3 where it is not well."""
    with Session.of(context) as session:
        _, hands = session.for_scope()
        found = hands.proxy.status()
        well = found.installed and found.running and found.current
        rows = {
            "installed": found.installed,
            "answers": found.running,
            "current": found.current,
            "survives a reboot": found.survives_reboot,
        }

        def lines() -> list[str]:
            signs = [
                f"{click.style('✓', fg='green') if is_ else click.style('✗', fg='red')} {n}" for n, is_ in rows.items()
            ]
            return [hands.proxy.public_url, *signs, *(f"{click.style('!', fg='yellow')} {p}" for p in found.problems)]

        return session.show({"ok": well, "url": hands.proxy.public_url, **asdict(found)}, lines, 0 if well else 3)


@proxy.command()
@common
@click.pass_context
def reload(context: click.Context) -> int:
    """Bring a changed manifest into nginx now; a deployment does so by itself. Moving traffic needs no reload."""
    with Session.of(context) as session:
        hands = session.hands = session.desk.for_manifest()
        changed = hands.proxy.install()
        text = "nginx works from the new configuration" if changed else "nothing had to change"
        return session.show({"ok": True, "changed": changed, "text": text}, lambda: [text])


@proxy.command()
@common
@click.pass_context
def rotate(context: click.Context) -> int:
    """Rotate the access log; deployments do so by themselves, and the systemd timer calls this."""
    with Session.of(context) as session:
        _, hands = session.for_scope()
        hands.proxy.rotate_logs()
        return session.show({"ok": True}, lambda: ["the logs are rotated where it was due"])


@proxy.command()
@click.option("--yes", is_flag=True, help="Also where traffic is served; it ends for everybody.")
@common
@click.pass_context
def uninstall(context: click.Context, yes: bool) -> int:
    """Take down what `install` put up. The service is not reachable any more; containers and ledger stay."""
    with Session.of(context) as session:
        _, hands = session.for_scope()
        if not yes and hands.proxy.switch.get() is not None:
            raise UsageError(
                f"{hands.manifest.scope} serves traffic through this nginx",
                hint="`release proxy uninstall --yes` ends that for everybody",
            )
        hands.proxy.uninstall()
        return session.show({"ok": True}, lambda: [f"nginx of {hands.manifest.scope} is taken down"])


@proxy.command()
@common
@click.pass_context
def unit(context: click.Context) -> int:
    """Print the systemd units; `install --systemd` writes them."""
    with Session.of(context) as session:
        hands = session.hands = session.desk.for_manifest()
        texts = _units(hands)

        def lines() -> list[str]:
            return [line for name, text in texts.items() for line in (f"# {name}", text.rstrip(), "")]

        return session.show({"ok": True, "units": texts}, lines)


def _units(hands: Hands) -> dict[str, str]:
    import sys
    from pathlib import Path

    from release.proxy.nginx import ManagedNginx

    if not isinstance(hands.proxy, ManagedNginx):
        raise UsageError("this nginx is not ours, so its units are not either", hint="its own service brings it back")
    command = [str(Path(sys.argv[0]).absolute()), "proxy", "rotate", "--state", str(hands.state.root)]
    return hands.proxy.units((*command, "--service", hands.manifest.scope))


def _enable(hands: Hands) -> str:
    from release.proxy import systemd

    return systemd.install(_units(hands))
