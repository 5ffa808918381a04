"""How an error looks: message and hint on stderr, or the one JSON document on stdout; and which exit code it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from release.cli.console import harmless
from release.cli.console.annotation import active, annotation
from release.errors import ReleaseError

USAGE, DEFECT, STOPPED = 2, 70, 130


@dataclass(frozen=True)
class Wants:
    """What the bare arguments say about errors; it holds also where they could not be parsed."""

    json: bool
    verbose: bool
    about: bool = False  # --help or --version may have been asked for

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Wants:
        own = list(arguments)[: list(arguments).index("--")] if "--" in arguments else list(arguments)
        about = not {"--help", "-h", "--version"}.isdisjoint(own)
        return cls("--json" in own, "--verbose" in own or "-v" in own, about)


def known(error: ReleaseError, wants: Wants) -> int:
    _tell(type(error).__name__, error.message, error.hint, error.exit_code, dict(error.context), wants)
    return error.exit_code


def usage(error: click.ClickException, wants: Wants) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "release"
    hint = f"`{path} --help` shows how it is used"
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and wants.json:
        message = "no command was given"
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(message, err=True)
        return USAGE
    _tell("UsageError", message[:1].lower() + message[1:], hint, USAGE, {}, wants)
    return USAGE


def stopped(wants: Wants) -> int:
    _tell("Interrupted", "stopped", None, STOPPED, {}, wants)
    return STOPPED


def unknown(error: Exception, wants: Wants) -> int:
    """A defect of ours: an apology with the exception's name; the traceback goes where it is wanted, or to a file."""
    message = f"sorry, this is a defect of release itself: {type(error).__name__}: {error}"
    if wants.verbose:
        import traceback

        traceback.print_exception(error)
        hint = "please report it with the traceback above"
    else:
        kept = _keep(error)
        hint = f"please report it with {kept}" if kept else "--verbose shows where it happened"
    _tell(type(error).__name__, message, hint, DEFECT, {}, wants)
    return DEFECT


def _keep(error: Exception) -> Path | None:
    import tempfile
    import time
    import traceback

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix=f"release-{time.strftime('%Y%m%d-%H%M%S')}-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exception(error, file=file)
            return Path(file.name)
    except OSError:
        return None


def _tell(kind: str, message: str, hint: str | None, code: int, context: dict[str, Any], wants: Wants) -> None:
    message, hint = harmless.plain(message), hint and harmless.plain(hint)
    if wants.json:
        import json

        told = {"type": kind, "message": message, "hint": hint, "exit_code": code, "context": context}
        document = json.dumps({"ok": False, "error": told}, ensure_ascii=False, indent=2, default=str)
        click.echo(document.replace("##[", "##\\u005b"))  # the same JSON, and no workflow command
    else:
        click.echo(
            f"{click.style('error:', fg='red', bold=True)} {harmless.no_command(message)}", err=True, color=_colour()
        )
        if hint:
            hint = harmless.no_command(hint)
            click.echo("  " + hint.replace("\n", "\n  "), err=True)
        if "live" in context:
            click.echo(f"  {context['live']} is live", err=True)
    if active():
        click.echo(annotation("error", message, title=kind), err=True)
    sys.stderr.flush()


def _colour() -> bool | None:
    """None lets click decide by the terminal; NO_COLOR says no."""
    return False if os.environ.get("NO_COLOR") else None
