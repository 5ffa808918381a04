"""What answers say of the set that made them, and what a switch did to those who waited meanwhile. Pure."""

from __future__ import annotations

import bisect
import itertools
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.load import Exchange, percentiles

Window = tuple[float, float]
"""Seconds on the clock of the exchanges: a switch was called for, and had returned."""


def told(encoder: Collection[float], decoder: Collection[float], named: float | None) -> str:
    """An answer that reveals its set: the values met in each component, and the value of the version that it names."""
    return json.dumps({"encoder": sorted(encoder), "decoder": sorted(decoder), "named": named})


def is_whole(answer: str) -> bool:
    """Whether one version made all of it, and the one that it names where it names one."""
    said = json.loads(answer)
    if said["encoder"] != said["decoder"] or len(said["encoder"]) != 1:
        return False
    return said["named"] in (None, said["encoder"][0])


def mixed(by_answer: Mapping[str, int]) -> int:
    """How many of the answers, counted by what they say, were not made by one version."""
    return sum(count for answer, count in by_answer.items() if not is_whole(answer))


def version_value(answer: str) -> float | None:
    """The value of the version that made an answer; None for a mixed one."""
    return float(json.loads(answer)["encoder"][0]) if is_whole(answer) else None


@dataclass(frozen=True)
class Latencies:
    """Seconds, of answered requests alone: those that no switch touched, and those that were under way in one."""

    rest: Mapping[str, float]
    during: Mapping[str, float]
    touched: int

    @property
    def ratio(self) -> float:
        """The p99 during switches, of that at rest; 0 where either has no requests."""
        if not self.rest or not self.during or not self.rest["p99"]:
            return 0.0
        return self.during["p99"] / self.rest["p99"]


def latencies(exchanges: Sequence[Exchange], windows: Sequence[Window], rest: Window) -> Latencies:
    """`rest` is a time without switches in the same run; a request counts for it that lies within."""
    during = [
        each.ended - each.began
        for each in exchanges
        if each.answer is not None and touches(windows, each.began, each.ended)
    ]
    calm = [
        each.ended - each.began
        for each in exchanges
        if each.answer is not None and rest[0] <= each.began and each.ended <= rest[1]
    ]
    return Latencies(percentiles(calm), percentiles(during), len(during))


def touches(windows: Sequence[Window], began: float, ended: float) -> bool:
    """Whether a span overlaps one of the windows, which are in their order and do not overlap each other."""
    first = bisect.bisect_left(windows, began, key=lambda window: window[1])
    return first < len(windows) and windows[first][0] <= ended


def silence(exchanges: Sequence[Exchange]) -> float:
    """The longest time in seconds from one answer to the next, whoever asked."""
    answered = sorted(each.ended for each in exchanges if each.answer is not None)
    return max((later - earlier for earlier, later in itertools.pairwise(answered)), default=0.0)


def first_answers(exchanges: Sequence[Exchange], switches: Sequence[tuple[float, float]]) -> list[float]:
    """For each switch (when it was called for, the value it leads to): seconds until the first answer of that set."""
    by_value: dict[float, list[float]] = {}
    for each in exchanges:
        if each.answer is not None and (value := version_value(each.answer)) is not None:
            by_value.setdefault(value, []).append(each.ended)
    for times in by_value.values():
        times.sort()
    found = []
    for called, value in switches:
        times = by_value.get(value, [])
        place = bisect.bisect_right(times, called)
        if place < len(times):
            found.append(times[place] - called)
    return found


def reasons(counted: Mapping[str, int]) -> str:
    """Why requests failed, the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(counted).most_common()) or "-"
