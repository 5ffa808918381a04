"""What a version was made with against what runs here. The comparison is pure; one function asks this interpreter."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata, util
from pathlib import Path
from typing import Any

from modelhost.errors import EnvironmentMismatch
from modelhost.metadata import Environment


class Closeness(StrEnum):
    """How much of two version numbers must be equal."""

    EXACT = "exact"
    MINOR = "minor"  # 2.13.0 and 2.13.1 are, 2.12 is not
    MAJOR = "major"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EnvironmentRule:
    """`packages` holds for all that `named` does not name. CUDA is compared where both sides have one: what was
    trained on a GPU may serve on a CPU."""

    python: Closeness = Closeness.MINOR
    packages: Closeness = Closeness.MINOR
    cuda: Closeness = Closeness.MAJOR
    named: Mapping[str, Closeness] = field(default_factory=dict)


DEFAULT_RULE = EnvironmentRule()


def differences(made: Environment, running: Environment, rule: EnvironmentRule = DEFAULT_RULE) -> list[str]:
    """What differs, a phrase each, python first; packages that only run here do not matter. Pure."""
    found = []
    if not _close(made.python, running.python, rule.python):
        found.append(f"python {made.python} wanted, {running.python} runs")
    for name, wanted in sorted(made.packages.items()):
        closeness = rule.named.get(name, rule.packages)
        has = running.packages.get(name)
        if closeness is Closeness.NONE:
            continue
        if has is None:
            found.append(f"{name} {wanted} wanted, none is installed")
        elif not _close(wanted, has, closeness):
            found.append(f"{name} {wanted} wanted, {has} runs")
    if made.cuda and running.cuda and not _close(made.cuda, running.cuda, rule.cuda):
        found.append(f"CUDA {made.cuda} wanted, {running.cuda} runs")
    return found


def check_environment(
    what: str, made: Environment, running: Environment | None = None, rule: EnvironmentRule = DEFAULT_RULE
) -> None:
    """Raise EnvironmentMismatch with every difference; `running` is this interpreter where it is not given."""
    found = differences(made, running or running_environment(made.packages), rule)
    if found:
        raise EnvironmentMismatch(
            f"{what} was made for another environment: {'; '.join(found)}",
            "install these, publish a version that was made here, or loosen the rule",
        )


def running_environment(packages: Iterable[str]) -> Environment:
    """This interpreter, with the versions of those of `packages` that are installed. Imports none of them."""
    installed = {}
    for name in packages:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Environment(python=platform.python_version(), packages=installed, cuda=_cuda())


def _close(one: str, other: str, closeness: Closeness) -> bool:
    if closeness is Closeness.NONE or one == other:
        return True
    if closeness is Closeness.EXACT:
        return False
    length = 2 if closeness is Closeness.MINOR else 1
    return _numbers(one, length) == _numbers(other, length)


def _numbers(version: str, length: int) -> tuple[str, ...]:
    """The first numbers of a version, `2.13.0+cpu` → 2, 13; one that has no numbers is only equal to itself."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    if match is None:
        return (version,)
    numbers = [str(int(part)) for part in match.group(1).split(".")] + ["0"] * length
    return tuple(numbers[:length])


def _cuda() -> str | None:
    """The CUDA that the installed torch was built for, from its version file: importing torch takes seconds."""
    loaded: Any = sys.modules.get("torch")
    if loaded is not None:
        return _text(getattr(getattr(loaded, "version", None), "cuda", None))
    found = util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(next(iter(found.submodule_search_locations)), "version.py")
    try:
        match = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", file.read_text("utf-8"), re.MULTILINE)
    except OSError:
        return None
    return match.group(1) if match else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
