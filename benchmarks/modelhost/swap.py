"""What users see while versions are switched under load: on modelhost, by a naive reload, by a restart; in one run.

The service has two components, whose answers reveal the weights that made them: a mixed answer cannot hide. Clients
keep their connections and never retry. First nothing is switched for a while; then every switch is seen by requests
before the next. The naive reload is the control: it must mix some, or the load could not see a mixture.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.load import Load, LoadResult, Shot, percentiles
from benchmarks.modelhost import evidence
from benchmarks.modelhost.published import PAIR, REGISTRY, VERSIONS, publish_pairs, value_of
from benchmarks.modelhost.service import Service, configure, folder
from benchmarks.result import arguments, publish
from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry

DEPTH, WIDTH = 8, 512  # of each component: 8 MB of weights, all of which every request reads
BUDGET = 64 << 20
T = TypeVar("T")
PAUSE = 0.3  # seconds of thought between two requests of a client: the service is busy, and not overrun
BETWEEN = 64  # requests from one switch to the next: about one of each client
SHOTS = [Shot(path="/ask")]


@dataclass
class Switches:
    """What the switching side saw: when each was called for and had returned, what it led to, seconds to the flip."""

    windows: list[evidence.Window] = field(default_factory=list)
    led_to: list[float] = field(default_factory=list)
    swaps: list[float] = field(default_factory=list)
    rollbacks: list[float] = field(default_factory=list)
    flips: list[float] = field(default_factory=list)
    flying: list[int] = field(default_factory=list)

    def during(self, act: Callable[[], T], version: str) -> T:
        """Carries one out, notes when, and returns what it said."""
        called = time.perf_counter()
        said = act()
        self.windows.append((called, time.perf_counter()))
        self.led_to.append(value_of(version))
        return said


def main() -> int:
    options = arguments(
        "Switches under load: modelhost, a naive reload, a restart.", switches=200, restarts=5, clients=64, rest=15
    )
    with folder() as place:
        publish_pairs(place, DEPTH, WIDTH)
        token = configure(place, list(PAIR), BUDGET)
        hosted, plain = Service("hosted", [str(place)], token), Service("plain", [str(place)])
        switching, count = on_modelhost(place), options.switches
        rows = [
            measured("modelhost", hosted, switching, count, options),
            measured("modelhost, no pause", hosted, switching, count, options, pause=0.0),
            measured("load_state_dict, live", plain, reload, count, options),
            measured("restart", plain, restart, options.restarts, options),
        ]
    kept = all(row["failed"] == row["mixed"] == 0 for row in rows[:2])
    control = rows[2]["mixed"] > 0
    notes = [
        f"{options.clients} keep-alive clients, {PAUSE} s between two requests of each, but where they do not pause;"
        " two components of 8 MB; each switch flips both, and of three on modelhost one is a rollback.",
        "to the flip: from the call within the service, load, checks and warm-up with it; load_state_dict: until it"
        " returned. New answer: from the call over HTTP (restart: the signal) to the first answer of the new set.",
        "p99 at rest: nothing is switched, same run, same process. During: requests under way while a switch was;"
        " of both, those that were answered. Silence: from one answer to the next, whoever asked.",
        f"modelhost {'failed no request and mixed no answer' if kept else 'did NOT keep what it promises'};"
        f" the control {'sees' if control else 'does NOT see'} mixed answers.",
    ]
    publish("Switching versions under load", rows, notes, options.json)
    return 0 if kept and control else 1


Act = Callable[[Service, Switches, int], None]
"""Carries out the switch of this number."""


def measured(way: str, service: Service, act: Act, count: int, options: Any, pause: float = PAUSE) -> dict[str, Any]:
    """One row: the same load on one service, at rest and through its switches."""
    first = [VERSIONS[-1]] if service.module == "plain" else []
    switches = Switches()
    with (
        service.running(*first),
        Load(service.url, SHOTS, clients=options.clients, pause=pause, answer="json:told", keep=True) as load,
    ):
        time.sleep(1.0)  # all clients have come, and what is slow once has been
        began = time.perf_counter()
        time.sleep(options.rest)
        rest = began, time.perf_counter()
        for turn in range(count):
            switches.flying.append(load.in_flight)
            act(service, switches, turn)
            sent = load.sent
            while load.sent < sent + BETWEEN:
                time.sleep(0.001)
        result = load.stop()
    return _row(way, result, switches, rest)


def on_modelhost(place: Path) -> Act:
    """Two promotions and a rollback in turn. What a rollback rejects is marked stable again, as a person may do."""
    registry = DirectoryRegistry(place / REGISTRY)
    served = [VERSIONS[-1]]

    def act(service: Service, switches: Switches, turn: int) -> None:
        back = turn % 3 == 2
        after = served[-2] if back else VERSIONS[(VERSIONS.index(served[-1]) + 1) % len(VERSIONS)]
        path, body = "/promote", {"versions": dict.fromkeys(PAIR, after), "reason": "forth"}
        if back:
            path, body = "/rollback", {"reason": "back"}
        said = switches.during(partial(service.ask, "POST", path, body), after)
        if said["versions"] != dict.fromkeys(PAIR, after):
            raise RuntimeError(f"asked for {after}, got {said['versions']}")
        (switches.rollbacks if back else switches.swaps).append(said["seconds"]["total"])
        switches.flips.append(said["seconds"]["flip"])
        for name, version in said["rejected"].items():
            registry.mark(name, version, Status.STABLE, "benchmark", "to be switched to again")
        served.append(after)

    return act


def reload(service: Service, switches: Switches, turn: int) -> None:
    """The weights of another version, loaded into the modules that serve."""
    version = VERSIONS[turn % len(VERSIONS)]
    said = switches.during(partial(service.ask, "POST", f"/reload?version={version}"), version)
    (switches.rollbacks if turn % 3 == 2 else switches.swaps).append(said["seconds"]["total"])


def restart(service: Service, switches: Switches, turn: int) -> None:
    """The process is ended as a supervisor ends it, and another started with another version."""
    version = VERSIONS[turn % len(VERSIONS)]
    switches.during(partial(service.restart, version), version)


def _row(way: str, result: LoadResult, switches: Switches, rest: evidence.Window) -> dict[str, Any]:
    found = evidence.latencies(result.exchanges, switches.windows, rest)
    settled = [each for each in result.exchanges if each.ended >= rest[0]]
    calm = [each for each in settled if each.ended <= rest[1]]
    called = [(window[0], value) for window, value in zip(switches.windows, switches.led_to, strict=True)]
    firsts = percentiles(evidence.first_answers(result.exchanges, called))
    return {
        "way": way,
        "switches": len(switches.windows),
        "in flight, median": round(statistics.median(switches.flying)),
        "requests": result.requests,
        "failed": result.failed,
        "mixed": evidence.mixed(result.by_answer),
        "to the flip ms, median": _milliseconds(switches.swaps, "p50"),
        "to the flip ms, p99": _milliseconds(switches.swaps, "p99"),
        "rollback ms, median": _milliseconds(switches.rollbacks, "p50"),
        "the flip µs, median": round(statistics.median(switches.flips) * 1e6, 1) if switches.flips else "-",
        "new answer ms, median": round(firsts["p50"] * 1000, 1),
        "p99 at rest ms": round(found.rest["p99"] * 1000, 1),
        "p99 during ms": round(found.during["p99"] * 1000, 1),
        "during, of rest": round(found.ratio, 2),
        "longest silence s": round(evidence.silence(settled), 3),
        "at rest s": round(evidence.silence(calm), 3),
        "why": evidence.reasons(result.reasons),
    }


def _milliseconds(seconds: Sequence[float], which: str) -> float | str:
    return round(percentiles(seconds)[which] * 1000, 1) if seconds else "-"


if __name__ == "__main__":
    sys.exit(main())
