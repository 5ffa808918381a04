"""Which versions of components work together, by the digests of the mates that they name. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from release.errors import Refused

STABLE = "stable"
REJECTED = "rejected"
MISMATCH = "MateMismatch"


class Fitting(Protocol):
    """A version, with the digest that others may name and the digests of the mates that it names."""

    @property
    def component(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def status(self) -> str | None: ...
    @property
    def digest(self) -> str: ...
    @property
    def mates(self) -> Mapping[str, str]: ...


def brought(
    versions: Mapping[str, str], known: Collection[Fitting], current: Mapping[str, str | None]
) -> dict[str, str]:
    """`versions` (component → version) with the mates that they need beside them, and with the mates of these.

    What is `current` (component → version) stays where it has the digest that is named, else the newest version comes
    which has it and which nobody rejected; `known` has each component's newest first. A component that is not in
    `current` has no mates here. Raises Refused where nothing has a digest.
    """
    found = dict(versions)
    asking = list(versions.items())
    while asking:
        one = _find(known, *asking.pop(0))
        if one is None:
            continue
        for name, digest in sorted(one.mates.items()):
            if name in found or name not in current:
                continue
            same = [each for each in known if (each.component, each.digest) == (name, digest)]
            fit = [each.version for each in same if each.status != REJECTED]
            if not fit:
                raise _nothing(one, name, digest, same)
            found[name] = now if (now := current[name]) in fit else fit[0]
            asking.append((name, found[name]))
    return {name: version for name, version in found.items() if name in versions or version != current[name]}


def followed(
    versions: Mapping[str, str], members: Sequence[str], known: Collection[Fitting], current: Mapping[str, str | None]
) -> dict[str, str]:
    """`versions` with what the other `members` of their set come as, by the rule of modelhost: what is `current` stays
    where it fits, else the newest version comes that does and that nobody rejected. What no version fits stays, and
    does not fit."""
    moving = [name for name in members if name not in versions]
    chosen: dict[str, str | None] = {**current, **versions}
    if all(chosen.get(name) for name in moving) and not misfits({}, known, chosen):
        return dict(versions)
    moved: dict[str, str] = {}
    for name in moving:
        beside = {each: one for each, one in chosen.items() if each not in moving or each in moved}
        newest = [each.version for each in known if each.component == name and each.status != REJECTED]
        for candidate in filter(None, (current.get(name), *newest)):
            if not misfits({name: candidate}, known, beside):
                chosen[name] = moved[name] = candidate
                break
    return {**versions, **{name: one for name, one in moved.items() if one != current.get(name)}}


def bearers(mates: Mapping[str, str], known: Collection[Fitting]) -> dict[str, list[str]]:
    """Component → the `known` versions that have the digest by which it is named in `mates`."""
    return {
        name: [each.version for each in known if (each.component, each.digest) == (name, digest)]
        for name, digest in mates.items()
    }


def misfits(versions: Mapping[str, str], known: Collection[Fitting], current: Mapping[str, str | None]) -> list[str]:
    """What would not fit if `versions` came in place of what is `current`, a phrase each. What is not `known`, as a
    stand-in, fits everything."""
    after = {**current, **versions}
    there = [_find(known, name, version) for name, version in after.items()]
    members = {each.component: each for each in there if each is not None}
    found = []
    for member in members.values():
        for name, digest in sorted(member.mates.items()):
            mate = members.get(name)
            if mate is None or mate.digest == digest:
                continue
            owner = next((each.version for each in known if (each.component, each.digest) == (name, digest)), None)
            wanted = f"{name} {owner}" if owner is not None else f"the {name} of digest {digest[:19]}"
            found.append(f"{member.component} {member.version} works with {wanted}, not with {name} {mate.version}")
    return found


def demand_fit(versions: Mapping[str, str], known: Collection[Fitting], current: Mapping[str, str | None]) -> None:
    """Raises Refused where `versions` (the first is the one that somebody asked for) do not fit together or with what
    is `current`; the hint is the command that would bring what fits."""
    if found := misfits(versions, known, current):
        raise Refused(
            f"these do not fit together: {'; '.join(found)}", hint=_way_out(versions, known, current), reason=MISMATCH
        )


def demand_stable(versions: Mapping[str, str], known: Collection[Fitting], current: Mapping[str, str | None]) -> None:
    """For a registry, where `current` is what `latest` means. Raises Refused where `versions` would be stable and a
    mate that they name is not, nor comes with them: then no set could be formed of what is stable. The hint is the
    command that marks all of it. A component that is not in `current` has no mates here."""
    found = []
    for one in filter(None, (_find(known, *each) for each in versions.items())):
        for name, digest in sorted(one.mates.items()):
            same = [each for each in known if (each.component, each.digest) == (name, digest)]
            if name in versions or name not in current or any(each.status == STABLE for each in same):
                continue
            if not same:
                raise _nothing(one, name, digest, same)
            found.append(f"{one.component} {one.version} works with {name} {same[0].version}, which is not stable")
    if not found:
        return
    try:
        whole = brought(versions, known, current)
        hint = f"`{_command(whole)}` marks {spoken(whole)} as one set; --together finds the mates by itself"
    except Refused as error:
        hint = f"{error.message}; {error.hint}"
    raise Refused(f"no set could be formed of what is stable: {'; '.join(found)}", hint=hint, reason=MISMATCH)


def _way_out(versions: Mapping[str, str], known: Collection[Fitting], current: Mapping[str, str | None]) -> str:
    try:
        whole = brought(versions, known, current)
    except Refused as error:
        return f"{error.message}; {error.hint}"
    more = {name: version for name, version in whole.items() if name not in versions}
    if more and not misfits(whole, known, current):
        return f"`{_command(versions)} --together` brings {spoken(more)}"
    for one in known:
        if one.component in current and one.component not in versions and one.status != REJECTED:
            both = {**versions, one.component: one.version}
            if not misfits(both, known, current):
                return f"`{_command(both)}` promotes {spoken(both)} as one set"
    return "name versions that work together: --with OTHER=VERSION"


def _command(versions: Mapping[str, str]) -> str:
    (component, version), *others = versions.items()
    more = (f"--with {name}={number}" for name, number in others)
    return " ".join(["release models promote", component, version, *more])


def spoken(versions: Mapping[str, str | None], last: str = " and ") -> str:
    """`model 1.1.0, tokenizer 1.1.0 and vocabulary 1.0.0`."""
    *others, end = [f"{name} {version or 'nothing'}" for name, version in versions.items()]
    return last.join([", ".join(others), end]) if others else end


def _find(known: Iterable[Fitting], component: str, version: str | None) -> Fitting | None:
    return next((each for each in known if (each.component, each.version) == (component, version)), None)


def _nothing(one: Fitting, name: str, digest: str, rejected: list[Fitting]) -> Refused:
    wants = f"{one.component} {one.version} works with the {name} of digest {digest}"
    if not rejected:
        return Refused(f"{wants}, and nobody has published it", hint="publish its mates first", reason=MISMATCH)
    number = rejected[0].version
    return Refused(
        f"{wants}: {name} {number}, which is rejected",
        hint=f"where that was a mistake: --with {name}={number} --restore",
        reason=MISMATCH,
    )
