"""Promotion and rollback in a registry: marks in its status log, from which services take what `latest` means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release.errors import Refused
from release.models.base import Switched

if TYPE_CHECKING:
    from release.models.registry import ModelRegistry


class RegistryBoard:
    """The `Board` protocol over a registry. Nothing that runs is asked, and nothing that runs is told."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self.where = registry.where

    @property
    def running(self) -> None:
        return None

    def number(self, component: str, version: str) -> str:
        return self._registry.number(component, version)

    def current(self, component: str) -> str | None:
        return next(iter(self._registry.stable(component)), None)

    def demand_expected(self) -> None:
        """A registry has no generations."""

    def is_so(self, component: str, version: str) -> bool:
        return version in self._registry.stable(component)

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        """Nothing to do: here a promotion takes a rejection back by itself."""
        return False

    def promote(self, component: str, version: str, who: str, why: str) -> Switched:
        """Marks it stable, once its files were checked. Raises Refused where they are not as published."""
        number, stable = self.number(component, version), self._registry.stable(component)
        before = next(iter(stable), None)
        if number in stable:
            return Switched(
                before, before, False, f"{component} {number} is stable already{_what_is_latest(number, before)}"
            )
        described = self._registry.describe(component, number)
        self._registry.check(component, number)
        self._registry.mark(component, number, "stable", who, why)
        after = self.current(component)
        again = "; it had been rejected" if described.version.status == "rejected" else ""
        return Switched(before, after, True, f"{component} {number} is stable{_what_is_latest(number, after)}{again}")

    def rollback(self, component: str, to: str | None, who: str, why: str) -> Switched:
        """Rejects what is stable and newer than the target, the newest last: until then `latest` means what it meant.

        Without a target it is the newest stable one below `latest` whose files are as they were published.
        """
        number = None if to is None else self.number(component, to)
        stable = self._registry.stable(component)
        if not stable:
            raise Refused(f"no version of {component} is stable", hint="`release models promote` marks one stable")
        before = stable[0]
        if number == before:
            return Switched(before, before, False, f"`latest` means {component} {number} already")
        target, passed_over = self._target(component, number, stable)
        left = stable[: stable.index(target)]
        for version in reversed(left):
            self._registry.mark(component, version, "rejected", who, why)
        text = (
            f"`latest` means {component} {target} again; {', '.join(left)} {'is' if len(left) == 1 else 'are'} rejected"
        )
        return Switched(before, target, True, "; ".join([text, *passed_over]))

    def _target(self, component: str, number: str | None, stable: list[str]) -> tuple[str, list[str]]:
        """A stable version with whole files, and what was passed over on the way to it."""
        if number is not None and number not in stable:
            raise Refused(
                f"{component} {number} is not stable, and a rollback goes to a stable version",
                hint=f"stable: {', '.join(stable)}; `release models promote` marks another so",
            )
        passed_over = []
        for version in [number] if number is not None else stable[1:]:
            try:
                self._registry.check(component, version)
            except Refused as error:
                if number is not None:
                    raise
                passed_over.append(f"passed over: {error.message}")
            else:
                return version, passed_over
        why = "; ".join(passed_over) or f"{stable[0]} is the only one"
        raise Refused(
            f"no stable version of {component} is left to go back to: {why}",
            hint="publish and promote another first",
        )


def _what_is_latest(number: str, latest: str | None) -> str:
    return ", and `latest` means it" if number == latest else f"; `latest` means {latest}"
