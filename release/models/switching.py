"""Promotion and rollback of a service that runs: it loads and flips, and says what it did. A registry is marked in
`marking`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from release.errors import Refused, Superseded, UsageError
from release.models import sets
from release.models.base import Switched
from release.models.service import ModelService

# What a service says of a way out in the words of HTTP, and earlier ones in those of code.
_TOGETHER = re.compile(r'with (?:"together": true|together=True) (these|its mates) go back')
VERSION_HEADER = "X-Model-Version"
SET_HEADER = "X-Model-Set"


class ServiceBoard:
    """The `Board` and `Running` protocols over a service. `together`: a rollback may take mates along; `expect`: the
    generation that its switches are meant for, None for whichever serves."""

    def __init__(self, service: ModelService, *, together: bool = False, expect: int | None = None) -> None:
        self._service, self._together, self._expect = service, together, expect
        self.where = self.url = service.url

    @property
    def running(self) -> ServiceBoard:
        return self

    def number(self, component: str, version: str) -> str:
        wanted = version.strip().removeprefix("v")
        known = [held.version for held in self._service.held() if held.component == component]
        if wanted in known:
            return wanted
        if not known:
            there = ", ".join(self._service.serving()) or "none"
            named = "".join(f", and the set {name}" for name in self._service.sets())
            raise UsageError(f"{self.where} has no component {component}", hint=f"there is {there}{named}")
        raise UsageError(f"{self.where} knows no version {version} of {component}", hint=f"there is {', '.join(known)}")

    def current(self, component: str) -> str | None:
        return self._service.serving().get(component)

    def demand_expected(self) -> None:
        if self._expect is not None and (found := self._service.generation()) != self._expect:
            raise Superseded(
                f"generation {found} serves at {self.where}, and {self._expect} was expected",
                hint="somebody switched meanwhile; `release models list` shows what serves",
            )

    def members(self, name: str) -> tuple[str, ...]:
        return tuple(self._service.sets().get(name, ()))

    def with_members(self, versions: Mapping[str, str], members: Sequence[str]) -> dict[str, str]:
        return sets.followed(versions, members, self._service.held(), self._service.serving())

    def with_mates(self, versions: Mapping[str, str]) -> dict[str, str]:
        return sets.brought(versions, self._service.held(), self._service.serving())

    def demand_fit(self, versions: Mapping[str, str]) -> None:
        sets.demand_fit(versions, self._service.held(), self._service.serving())

    def is_so(self, versions: Mapping[str, str]) -> bool:
        serving = self._service.serving()
        return all(serving.get(component) == version for component, version in versions.items())

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        known = {(held.component, held.version): held.status for held in self._service.held()}
        if known.get((component, version)) != sets.REJECTED:
            return False
        self._service.restore(component, version, f"{why} (asked for by {who})")
        return True

    def promote(self, versions: Mapping[str, str], who: str, why: str) -> Switched:
        told = self._service.promote(versions, f"{why} (asked for by {who})", self._expect)
        before = {name: _before(told, name) for name in versions}
        after = {name: _after(told, name) for name in versions}
        lead, *others = versions
        text = f"{sets.spoken(after)} serve{'' if others else 's'}{' already' if before == after else ''}"
        if replaced := {name: version for name, version in before.items() if version not in (None, after[name])}:
            text += f", {sets.spoken(replaced)} before" if others else f", {replaced[lead]} before it"
        together = {name: (before[name], after[name]) for name in others}
        return Switched(before[lead], after[lead], before != after, _with_notes(text, told), together)

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """`component` may be a set of the service's configuration: `before` and `after` are None then, and `others` has
        its members."""
        try:
            told = self._service.rollback(component, to, f"{why} (asked for by {who})", self._together, self._expect)
        except Refused as error:
            raise _as_command(error, component) from error
        moved = {name: (_before(told, name), _after(told, name)) for name in told.get("versions") or ()}
        moved = {name: (was, now) for name, (was, now) in moved.items() if was != now}
        before, after = _before(told, component), _after(told, component)
        own = {component: after} if after is not None else {name: now for name, (_, now) in moved.items()}
        text = _serve_again(own) if own else f"{component} is as it was"
        if component in (told.get("fallbacks") or ()):
            text = f"no stable version of {component} is left: its fallback serves"
        if left := told.get("rejected"):
            text += f"; {sets.spoken(left)} {'is' if len(left) == 1 else 'are'} rejected"
        others = {name: each for name, each in moved.items() if name != component}
        return Switched(before, after, bool(moved), _with_notes(text, told), others)

    def is_there(self, component: str, version: str) -> bool:
        return self._service.in_memory(component, version)

    def prepare(self, component: str, version: str) -> bool:
        return self._service.load(component, version)  # asked always: what one process holds, the next may not

    def leave(self, component: str, version: str) -> None:
        self._service.unload(component, version)

    def headers(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        """None for a fallback that serves: it is in no registry, and nobody can name it."""
        lead, version = next(iter(versions.items()))
        return {} if self._service.falls_back(lead, version) else {VERSION_HEADER: version}

    def proof(self, versions: Mapping[str, str]) -> Mapping[str, str]:
        return {SET_HEADER: ", ".join(f"{name}={version}" for name, version in versions.items())}


def _serve_again(versions: Mapping[str, str | None]) -> str:
    return f"{sets.spoken(versions)} serve{'s' if len(versions) == 1 else ''} again"


def _as_command(error: Refused, component: str) -> Refused:
    """The way out that the service names, in the words of the command line."""
    command = f"`release models rollback {component} --together`"
    hint, known = _TOGETHER.subn(lambda found: f"{command} takes {found[1]} back", error.hint or "")
    if not known and error.context.get("reason") == sets.MISMATCH:
        hint = "no set that served fits; `release models promote` lets any versions serve that work together"
    return Refused(error.message, hint=hint or None, **error.context)


def _before(told: Mapping[str, Any], component: str) -> str | None:
    before = told.get("before")
    return before.get(component) if isinstance(before, dict) else None


def _after(told: Mapping[str, Any], component: str) -> str | None:
    versions = told.get("versions")
    return versions.get(component) if isinstance(versions, dict) else None


def _with_notes(text: str, told: Mapping[str, Any]) -> str:
    return "; ".join([text, *(str(note) for note in told.get("notes") or ())])
