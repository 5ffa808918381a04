"""The options that every command takes, before or after its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from release.naming import echoed

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What was said on the command line about how and where; `directory` is the `-C` folder, or the current one."""

    json: bool = False
    service: str | None = None
    state: str | None = None
    manifest: str | None = None
    directory: Path = field(default_factory=Path)
    overrides: dict[str, str] = field(default_factory=dict)
    quiet: bool = False
    verbose: bool = False
    plain: bool = False

    def path(self, text: str | None) -> Path | None:
        """A path as the user meant it: from the `-C` folder."""
        return None if text is None else self.directory / Path(text).expanduser()

    @property
    def cwd(self) -> Path:
        return self.directory.absolute()


def current(context: click.Context) -> Settings:
    return context.find_root().ensure_object(Settings)


def common(command: F) -> F:
    """Adds the options to a group or command; what is said after the command's name wins."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value not in (None, False, ()):
            setattr(current(context), name, value)
        return value

    return callback


def _override(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    for text in value:
        key, sign, rest = text.partition("=")
        if not sign or not key.strip():
            raise click.BadParameter(f"{text!r} is no key=value, such as proxy.listen=9090", context, parameter)
        current(context).overrides[key.strip()] = rest


def _directory(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        path = Path(value).expanduser()
        found = path.is_dir()
    except (OSError, RuntimeError):  # a name longer than names may be, a folder nobody may enter, no home
        found = False
    if not found:
        raise click.BadParameter(f"{echoed(value)} is no folder", context, parameter)
    current(context).directory = path


def _option(*names: str, callback: Callable[..., Any], **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, callback=callback, expose_value=False, is_eager=True, **attributes)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option("--json", is_flag=True, callback=_keep("json"), help="One JSON document on stdout."),
    _option("--service", metavar="NAME", callback=_keep("service"), help="Which service, where there are several."),
    _option("--state", metavar="DIR", callback=_keep("state"), help="Where the state of all services lives."),
    _option("--manifest", metavar="FILE", callback=_keep("manifest"), help="Another file than release.yaml."),
    _option("--set", metavar="KEY=VALUE", multiple=True, callback=_override, help="Overrides a key of the manifest."),
    _option("-C", metavar="DIR", callback=_directory, help="Works as if started in DIR."),
    _option("--quiet", "-q", is_flag=True, callback=_keep("quiet"), help="Only warnings and the result."),
    _option("--verbose", "-v", is_flag=True, callback=_keep("verbose"), help="Every line of progress, all evidence."),
    _option("--plain", is_flag=True, callback=_keep("plain"), help="Plain lines also on a terminal."),
)

OPTION_NAMES = ("json", "service", "state", "manifest", "set", "c", "quiet", "verbose", "plain")
