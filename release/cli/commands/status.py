"""`release status`: what serves, what runs, what a rollback would take; once, or until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import click

from release.cli.console import choose
from release.cli.session import Session
from release.cli.settings import common, current

if TYPE_CHECKING:
    from release.operations.look import Status
    from release.rollout.hands import Hands
    from release.wiring.desk import Desk


@click.command()
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=1.0, metavar="SECONDS", help="Between refreshes.")
@common
@click.pass_context
def status(context: click.Context, watch: bool, interval: float) -> int:
    """Show what serves, what runs, and what a rollback would take.

    One line a slot: its share of traffic, release, state and standing; then the run that is under way with its step
    and owner, the last one that ended, and what a bare rollback would do. Where flag files, engine and ledger do not
    agree, it says so and how to mend it. Where the engine does not answer, it shows what the ledger knows; exit code 3.
    """
    if watch and current(context).json:
        raise click.UsageError("--watch shows many pictures, --json prints one document; use one of them", context)
    with Session.of(context) as session:
        desk, hands = session.for_scope()
        if watch:
            return _watch(desk, hands, interval)
        found = _look(desk, hands)
        document = {"ok": found.engine_answers, **found.as_json()}
        if document.get("last"):
            document["last"].pop("facts")  # they are for recovery, and no interface
        return session.show(document, lambda: _lines(found), 0 if found.engine_answers else 3)


def _look(desk: Desk, hands: Hands) -> Status:
    from release.operations.look import status as look

    return look(hands, desk.holder(hands))


def _lines(found: Status) -> list[str]:
    from release.cli.console.status import lines

    return lines(found, time.time(), choose.width())


def _watch(desk: Desk, hands: Hands, interval: float) -> int:
    """Redraws in place with one write a frame, so that nothing flickers; without a terminal, prints what changed."""
    moving = sys.stdout.isatty() and choose.coloured(sys.stdout, {**_term(), "NO_COLOR": ""})
    before: list[str] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the screen is put back then as well
    try:
        if moving:
            click.echo("\x1b[?1049h\x1b[?25l", nl=False)
        while True:
            frame = _lines(_look(desk, hands))
            if moving:
                _draw([*frame, "", click.style(f"every {interval:g} s, Ctrl-C ends", dim=True)])
            elif _steady(frame) != _steady(before):
                click.echo("\n".join([*frame, ""]))
            before = frame
            time.sleep(interval)
    except KeyboardInterrupt:
        return 0
    finally:
        if moving:
            click.echo("\x1b[?25h\x1b[?1049l", nl=False)
            click.echo("\n".join(before))


def _draw(frame: list[str]) -> None:
    colour = choose.coloured(sys.stdout)
    rows = [line if colour else click.unstyle(line) for line in frame[: _height()]]
    click.echo("\x1b[H" + "\x1b[K\r\n".join(rows) + "\x1b[K\x1b[J", nl=False, color=True)


def _height() -> int:
    import shutil

    return shutil.get_terminal_size((120, 40)).lines


def _term() -> dict[str, str]:
    import os

    return {"TERM": os.environ.get("TERM", "dumb")}


def _steady(frame: list[str]) -> list[str]:
    """The lines without what changes by itself: ages."""
    import re

    return [re.sub(r"\d+(\.\d)? (s|min|h|days?)( \d+ (s|min))?", "…", click.unstyle(line)) for line in frame]
