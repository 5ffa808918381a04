"""The group of all commands: names and one-line help are here, a command's module is imported when it is called."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module

import click

from release.naming import shortened

# Name → module below `release.cli.commands` (the attribute has the command's name), and what `release --help` shows.
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Release": {
        "deploy": ("deploy", "Take a tag to live traffic, through every gate."),
        "rollback": ("rollback", "Bring the previous good release back, at once."),
        "abort": ("rollback", "End the deployment that is under way; traffic goes back."),
    },
    "Try first": {
        "build": ("build", "Build the image of a tag, and nothing else."),
        "check": ("build", "Ask the gates about a tag or a URL; traffic stays where it is."),
    },
    "Look": {
        "status": ("status", "Show what serves, what runs, and what a rollback would take."),
        "history": ("history", "List the deployments, rollbacks and model switches, newest first."),
        "logs": ("history", "Show the log of a release, a slot or a failed candidate."),
        "report": ("report", "Write the record of a deployment as Markdown or JSON."),
    },
    "Keep house": {
        "init": ("setup", "Write a release.yaml and a workflow for this repository."),
        "doctor": ("setup", "Find out what is wrong, and how to mend it."),
        "config": ("config", "Show, check or describe the manifest."),
        "accept": ("keep", "Lift a rejection, with a reason."),
        "prune": ("keep", "Remove images and containers that no rollback needs."),
        "models": ("models", "Look at, publish and switch versions of models."),
        "remove": ("keep", "Take a service off this host, with all that is its own."),
        "proxy": ("proxy", "Install, look at or take down nginx in front of the service."),
    },
}
COMMANDS = {name: entry for commands in SECTIONS.values() for name, entry in commands.items()}


class Suggesting(click.Group):
    """A group that names the nearest command where it does not know the one that was asked for."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        wanted = arguments[0]
        if self.get_command(context, wanted) is None and not wanted.startswith("-"):
            near = difflib.get_close_matches(wanted, self.list_commands(context), 2, 0.5)
            hint = (
                f"did you mean {' or '.join(near)}?" if near else f"there is: {', '.join(self.list_commands(context))}"
            )
            raise click.UsageError(f"no command is called {shortened(wanted)!r}; {hint}", context)
        return super().resolve_command(context, arguments)


class Commands(Suggesting):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, short = COMMANDS[name]
        command: click.Command = getattr(import_module(f"release.cli.commands.{module}"), name)
        command.short_help = short
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table above, so that help imports no command."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(9), short) for name, (_, short) in commands.items()])
