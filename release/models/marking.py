"""Promotion and rollback in a registry: marks in its status log. They say what `latest` means, with which a service
begins that never served; what runs is switched in `switching`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from release.errors import Refused, ReleaseError, UsageError
from release.models import sets
from release.models.base import Switched, Version

if TYPE_CHECKING:
    from release.models.registry import ModelRegistry

_KEPT = "a service that has served keeps what it serves, also over a restart, until --url switches it"
_NOT_TOLD = "a service that runs is not told: --url takes it back"


class RegistryBoard:
    """The `Board` protocol over a registry. Nothing that runs is asked, and nothing that runs is told."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self.where = registry.where

    @property
    def running(self) -> None:
        return None

    def number(self, component: str, version: str) -> str:
        with self._speaking_of_sets(component):
            return self._registry.number(component, version)

    def current(self, component: str) -> str | None:
        with self._speaking_of_sets(component):
            return next(iter(self._registry.stable(component)), None)

    def demand_expected(self) -> None:
        """A registry has no generations."""

    def members(self, name: str) -> tuple[str, ...]:
        """None: sets are of a service's configuration."""
        return ()

    def with_members(self, versions: Mapping[str, str], members: Sequence[str]) -> dict[str, str]:
        """A registry knows no set of which there could be others."""
        return dict(versions)

    def with_mates(self, versions: Mapping[str, str]) -> dict[str, str]:
        known = self._registry.versions()
        return sets.brought(versions, known, self._latest(known))

    def demand_fit(self, versions: Mapping[str, str]) -> None:
        """Among themselves, and each with a mate that is stable: what `latest` means beside them says nothing of what
        serves."""
        known = self._registry.versions()
        sets.demand_fit(versions, known, {})
        sets.demand_stable(versions, known, self._latest(known))

    def is_so(self, versions: Mapping[str, str]) -> bool:
        return all(version in self._registry.stable(component) for component, version in versions.items())

    def restore(self, component: str, version: str, who: str, why: str) -> bool:
        """Nothing to do: here a promotion takes a rejection back by itself."""
        return False

    def promote(self, versions: Mapping[str, str], who: str, why: str) -> Switched:
        """Marks all of them stable, once the files of all were checked, the first one last: so that no service finds
        it without its mates. Where one cannot be marked, those before it are what they were again, and the error says
        so. Raises Refused where files are not as published."""
        numbers = {name: self.number(name, version) for name, version in versions.items()}
        before = {name: self.current(name) for name in numbers}
        fresh = {name: number for name, number in numbers.items() if number not in self._registry.stable(name)}
        was = {name: self._registry.describe(name, number).version.status for name, number in fresh.items()}
        for name, number in fresh.items():
            self._registry.check(name, number)
        self._mark(fresh, was, who, why)
        after = {name: self.current(name) for name in numbers}
        texts = [_how_it_is(name, number, was.get(name), after[name]) for name, number in numbers.items()]
        texts += self._misfits(numbers) if fresh else []
        lead, *others = numbers
        together = {name: (before[name], after[name]) for name in others}
        return Switched(before[lead], after[lead], bool(fresh), "; ".join([*texts, _KEPT]), together)

    @contextmanager
    def _speaking_of_sets(self, component: str) -> Iterator[None]:
        try:
            yield
        except UsageError as error:
            if component in self._registry.components():
                raise
            hint = f"{error.hint}; sets have their names from the service that has them: --url"
            raise UsageError(error.message, hint=hint, **error.context) from error

    def _latest(self, known: Iterable[Version]) -> dict[str, str | None]:
        return {name: self.current(name) for name in dict.fromkeys(each.component for each in known)}

    def _misfits(self, moved: Collection[str]) -> list[str]:
        """What does not fit in the set with which a service that never served would begin: legitimate, as the mate may
        be marked next, and worth a word."""
        known = self._registry.versions()
        found = sets.misfits({}, known, self._latest(known))
        told = [phrase for phrase in found if any(f"{name} " in phrase for name in moved)]
        return [f"what `latest` means does not fit together now: {'; '.join(told)}"] if told else []

    def _mark(self, fresh: Mapping[str, str], was: Mapping[str, str], who: str, why: str) -> None:
        """All or none, as far as the registry lets itself be written."""
        done: list[str] = []
        for name in reversed([*fresh]):
            try:
                self._registry.mark(name, fresh[name], "stable", who, why)
            except ReleaseError as error:
                told = [self._unmark(each, fresh[each], was[each], who, error.message) for each in reversed(done)]
                raise type(error)("; ".join([error.message, *told]), hint=error.hint) from error
            done.append(name)

    def _unmark(self, component: str, version: str, status: str, who: str, why: str) -> str:
        try:
            self._registry.mark(component, version, status, who, f"its set could not be marked: {why}")
        except ReleaseError as error:
            return f"{component} {version} stays stable, as that could not be taken back: {error.message}"
        return f"{component} {version} is {status} again"

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
        return Switched(before, target, True, "; ".join([text, *passed_over, *self._misfits([component]), _NOT_TOLD]))

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


def _how_it_is(component: str, number: str, was: str | None, latest: str | None) -> str:
    """`was`: its status before it was marked, None where it was stable already."""
    means = ", and `latest` means it" if number == latest else f"; `latest` means {latest}"
    again = "; it had been rejected" if was == "rejected" else ""
    return f"{component} {number} is stable{' already' if was is None else ''}{means}{again}"
