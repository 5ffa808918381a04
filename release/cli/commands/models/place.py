"""Where a command of `release models` works: on a registry, on a service that runs; never on both."""

from __future__ import annotations

import click

from release.cli.settings import F


def registry(command: F) -> F:
    """Adds --registry."""
    return click.option("--registry", metavar="WHERE", help="Another registry than the manifest's: directory or URL.")(
        command
    )


def anywhere(command: F) -> F:
    """Adds what names a registry or a service: not both."""
    url = click.option("--url", metavar="URL", callback=is_url, help="The running service, by its model API.")
    return url(registry(command))


def registry_alone(command: F) -> F:
    """--registry, and an answer for who wants a service to do what only a registry can."""
    said = "A running service: not what this command works on, as its refusal says."
    url = click.option("--url", hidden=True, expose_value=False, callback=_no_service, help=said)
    return url(registry(command))


def _no_service(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            f"`release models {context.info_name}` works on a registry, not on a service that runs: "
            "--registry names the one that the service reads",
            context,
        )


def one_place(context: click.Context, url: str | None, registry: str | None) -> None:
    """Raises click.UsageError where both are named."""
    if url is not None and registry is not None:
        raise click.UsageError("either --url or --registry, not both", context)


def is_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The callback of an option that names a service."""
    if value is not None and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value[:200]!r} is no URL, such as http://127.0.0.1:8080", context, parameter)
    return value
