"""Code that a configuration names: `module:function`, or the name of an entry point. Nothing is taken from a path."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import re
from typing import Any

from modelhost.errors import ConfigError

GROUP = "modelhost.adapters"
REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def installed(name: str, group: str = GROUP) -> Any:
    """The object behind a name. Raises ConfigError that says what is missing, and what there is."""
    return _imported(name) if ":" in name else _entry_point(name, group)


def _imported(reference: str) -> Any:
    if not REFERENCE.fullmatch(reference):
        raise ConfigError(f"{reference!r} names no code", "write it as package.module:function")
    module_name, _, path = reference.partition(":")
    try:
        value: Any = importlib.import_module(module_name)
    except Exception as error:  # A module may raise anything at all while it is imported.
        raise ConfigError(
            f"{reference} cannot be imported: {type(error).__name__}: {error}", "install the package that has it"
        ) from error
    for part in path.split("."):
        if not hasattr(value, part):
            near = difflib.get_close_matches(part, dir(value), n=1)
            guess = f"did you mean {near[0]}?" if near else "look for its name in the module"
            raise ConfigError(f"{module_name} has no {part}", guess)
        value = getattr(value, part)
    return value


def _entry_point(name: str, group: str) -> Any:
    points = importlib.metadata.entry_points(group=group)
    found = [point for point in points if point.name == name]
    if not found:
        known = ", ".join(sorted(points.names)) or "none is installed"
        raise ConfigError(
            f"no entry point {name!r} in the group {group}", f"there is {known}; or write module:function"
        )
    try:
        return found[0].load()
    except Exception as error:
        raise ConfigError(
            f"the entry point {name} cannot be loaded: {type(error).__name__}: {error}", "mend the package that has it"
        ) from error
