"""Which reporter fits: a terminal that can move its cursor, a pipe, CI, or a program that reads JSON."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

from release.cli.console.annotation import active
from release.cli.console.plain import Plain
from release.cli.console.reporter import Reporter, Steady
from release.cli.settings import Settings


def reporter(settings: Settings, *, live: bool, environ: Mapping[str, str] = os.environ) -> Reporter:
    """`live` says that the run is long enough for a moving display to be worth its start-up time."""
    if live and _moves(settings, environ):
        from release.cli.console.live import Live

        return Steady(Live(sys.stderr, verbose=settings.verbose))
    plain: Reporter = Plain(
        sys.stderr, colour=coloured(sys.stderr, environ), quiet=settings.quiet, verbose=settings.verbose, width=width()
    )
    if active(environ):
        from release.cli.console.github import GitHub

        plain = GitHub(plain, sys.stderr)
    return Steady(plain)


def coloured(stream: object, environ: Mapping[str, str] = os.environ) -> bool:
    """Colours on a terminal, by the conventions of NO_COLOR, FORCE_COLOR and TERM=dumb."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return _is_terminal(stream) and environ.get("TERM") != "dumb"


def width() -> int:
    """Columns of the terminal; 120 where there is none."""
    return shutil.get_terminal_size((120, 40)).columns


def _moves(settings: Settings, environ: Mapping[str, str]) -> bool:
    if settings.plain or settings.json or settings.quiet or active(environ) or environ.get("CI"):
        return False
    return _is_terminal(sys.stderr) and environ.get("TERM", "dumb") != "dumb"


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
