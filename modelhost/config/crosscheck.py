"""What no key can tell alone: names that must exist elsewhere, rules that must compile, choices that exclude others."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from modelhost.config.build import experiment, rules
from modelhost.config.document import KeyPath
from modelhost.config.model import Settings

Mistake = tuple[KeyPath, str]


def mistakes(settings: Settings) -> Iterator[Mistake]:
    """Key path and what is wrong with it. Raises ConfigError for a rule or an experiment that cannot be used."""
    yield from _sets(settings)
    yield from _routing(settings)
    for name, component in settings.components.items():
        if component.pinned and component.ttl is not None:
            yield ("components", name, "ttl"), "is never reached, because it is pinned; remove one of the two"


def _sets(settings: Settings) -> Iterator[Mistake]:
    owner: dict[str, str] = {}
    for name, members in settings.sets.items():
        if name in settings.components:
            yield ("sets", name), "is the name of a component too; give the set another"
        for index, member in enumerate(members):
            if member not in settings.components:
                yield ("sets", name, index), _no_such(member, [*settings.components], "component")
            elif member in owner:
                yield ("sets", name, index), f"is in the set {owner[member]} already; a component flips with one set"
            owner.setdefault(member, name)


def _routing(settings: Settings) -> Iterator[Mistake]:
    known = [*settings.components, *settings.sets]
    for name, section in settings.routing.items():
        if name not in known:
            yield ("routing", name), _no_such(name, known, "component or set")
        seen: set[str] = set()
        for index, rule in enumerate(section.rules):
            if rule.name in seen:
                yield ("routing", name, "rules", index, "name"), "is given twice; each rule has a name of its own"
            seen.add(rule.name)
        rules(section, name)
        experiment(section, name)


def _no_such(name: str, known: list[str], what: str) -> str:
    near = get_close_matches(name, known, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    return f"names {name}, which is no {what}; {guess}there are: {', '.join(known)}"
