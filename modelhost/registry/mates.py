"""Whether the components of a set fit together: each names the digests of the mates that it works with. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelhost.errors import InvalidRequest, MateMismatch
from modelhost.metadata import VersionInfo, canonical_version

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHOWN = 80  # characters of what somebody wrote


def by_digest(
    named: Mapping[str, Any], known: Callable[[str], Iterable[VersionInfo]]
) -> tuple[dict[str, Any], list[str]]:
    """`named` (component → digest or number of a version) with digests alone, and a phrase for each that is neither a
    digest nor a version `known` of its component; these stay as they are."""
    found, problems = dict(named), []
    for component, text in named.items():
        if not isinstance(component, str) or (isinstance(text, str) and _DIGEST.fullmatch(text)):
            continue
        there = {one.version: one.digest for one in known(component)}
        try:
            found[component] = there[canonical_version(text)]
        except (ValueError, TypeError, AttributeError, KeyError):
            has = f"which has {', '.join(there)}" if there else f"which has no {component}: publish it first"
            problems.append(
                f"mates: {component} is {str(text)[:_SHOWN]!r}, neither a digest (sha256: and 64 hex digits) nor a "
                f"version of {component} in this registry, {has}"
            )
    return found, problems


def misfits(members: Iterable[VersionInfo], known: Iterable[VersionInfo] = ()) -> list[str]:
    """What does not fit, a phrase each. `known`: further versions, to say which one has the digest that is wanted.

    Raises InvalidRequest where a component is in the set twice.
    """
    members = list(members)
    chosen = {member.component: member for member in members}
    if len(chosen) < len(members):
        raise InvalidRequest("a set has one version of each component", ", ".join(_name(one) for one in members))
    names = {(one.component, one.digest): _name(one) for one in (*known, *members)}
    found = []
    for member in members:
        for component, wanted in sorted(member.mates.items()):
            mate = chosen.get(component)
            if mate is None or mate.digest != wanted:
                has = "the set has none" if mate is None else f"the set has {_name(mate)} ({_short(mate.digest)})"
                owner = names.get((component, wanted))
                want = f"{owner} ({_short(wanted)})" if owner else f"the {component} of digest {wanted}"
                found.append(f"{_name(member)} wants {want}, {has}")
    return found


def check_mates(members: Iterable[VersionInfo], known: Iterable[VersionInfo] = ()) -> None:
    """Raise MateMismatch with every misfit of the set."""
    found = misfits(members, known)
    if found:
        raise MateMismatch(
            f"these do not fit together: {'; '.join(found)}", "choose the versions that name each other's digests"
        )


def check_has_mates(info: VersionInfo, known: Iterable[VersionInfo]) -> None:
    """Raise MateMismatch where this version wants mates that are not among those `known`: no set will ever hold it."""
    there = {(one.component, one.digest) for one in known}
    found = [f"the {name} of digest {wanted}" for name, wanted in info.mates.items() if (name, wanted) not in there]
    if found:
        raise MateMismatch(
            f"{_name(info)} wants {' and '.join(found)}, and the registry has none", "publish its mates first"
        )


def _name(info: VersionInfo) -> str:
    return f"{info.component} {info.version}"


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
