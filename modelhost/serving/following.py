"""Which mates a version brings, for a request that names it and for a promotion of a set. Pure.

The others of the set keep what serves where it fits, else they bring the newest version that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from modelhost.errors import MateMismatch
from modelhost.loading.base import Loaded
from modelhost.registry.base import Entry
from modelhost.serving.switching import check_fit


def following(
    named: Mapping[str, Entry],
    mates: Collection[str],
    live: Mapping[str, Loaded],
    known: Callable[[str], Iterable[Entry]],
) -> dict[str, Entry]:
    """Component → what comes in place of what is `live`, of the `mates` alone; none where what serves fits what is
    `named`. `known`: versions of a component that may come, the newest first. What no version fits stays: whoever loads
    the set says why."""
    chosen: dict[str, Entry | Loaded] = {**live, **named}
    moving = [mate for mate in mates if mate not in named]
    if all(mate in chosen for mate in moving) and fits(chosen.values()):
        return {}
    moved: dict[str, Entry] = {}
    for mate in moving:
        others = {name: each for name, each in chosen.items() if name not in moving or name in moved}
        for candidate in [*([live[mate].entry] if mate in live else []), *known(mate)]:
            if fits({**others, mate: candidate}.values(), {*others, mate}):
                chosen[mate] = moved[mate] = candidate
                break
    return {name: each for name, each in moved.items() if name not in live or each.version != live[name].version}


def fits(members: Iterable[Entry | Loaded], among: Collection[str] | None = None) -> bool:
    """Whether all fit together; `among`: mates of components outside of these are not looked at."""
    try:
        check_fit(members if among is None else [_without_others(each, among) for each in members])
    except MateMismatch:
        return False
    return True


def _without_others(each: Entry | Loaded, among: Collection[str]) -> Entry | Loaded:
    if isinstance(each, Loaded) and each.fallback:
        return each
    entry = each.entry if isinstance(each, Loaded) else each
    mates = {name: digest for name, digest in entry.info.mates.items() if name in among}
    return Entry(entry.info.model_copy(update={"mates": mates}), entry.path, entry.status)
