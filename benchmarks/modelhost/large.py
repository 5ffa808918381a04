"""A swap of about 1 GB of weights, stored as they are served, whose files are warm; what it takes of time and memory.

Beside it, in the same run: the same under clients, a rollback to what is still in memory, `load_state_dict` into the
live module, and a restart. Memory is looked at in rounds of its own, because looking costs milliseconds.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import Load
from benchmarks.modelhost import evidence
from benchmarks.modelhost.cache import warm
from benchmarks.modelhost.memory import Peak
from benchmarks.modelhost.published import LARGE, REGISTRY, VERSIONS, publish_large, weights
from benchmarks.modelhost.service import Service, configure, folder
from benchmarks.modelhost.swap import SHOTS
from benchmarks.result import arguments, publish
from modelhost.registry.base import Status
from modelhost.registry.directory import DirectoryRegistry

PAUSE = 0.5  # seconds between two requests of a client
TWO_AND_A_BIT = 2.2  # models that the budget has room for: before a third comes, the one kept for a way back goes
SETTLED = 1.0  # seconds after which all clients have come
UNDER = 4  # times the rounds, under clients: so many that a p99 has requests behind it
MEMORY_ROUNDS = 4
RESTARTS = 2


@dataclass
class Timed:
    """Seconds of each round: until the flip, and of that the load (its checks with it) and the warm-up."""

    flips: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    warm_ups: list[float] = field(default_factory=list)
    peak: int = 0
    requests: int = 0
    failed: int = 0
    latencies: evidence.Latencies | None = None

    def add(self, seconds: dict[str, float]) -> None:
        """As the record of a switch has them."""
        self.flips.append(seconds["total"])
        self.loads.append(seconds.get("load", 0.0))
        self.warm_ups.append(seconds.get("warm_up", 0.0))


class Operator:
    """Goes round the versions, so that each promotion has to load one, and back to where it came from."""

    def __init__(self, service: Service, registry: DirectoryRegistry) -> None:
        self._service = service
        self._registry = registry
        self._serving = VERSIONS[-1]
        self.windows: list[evidence.Window] = []

    def promote(self) -> dict[str, float]:
        """The next version; the seconds of its record."""
        following = VERSIONS[(VERSIONS.index(self._serving) + 1) % len(VERSIONS)]
        body = {"versions": {LARGE: following}, "reason": "forth"}
        called = time.perf_counter()
        said = self._service.ask("POST", "/promote", body)
        self.windows.append((called, time.perf_counter()))
        return self._went(said)

    def rollback(self) -> dict[str, float]:
        """To what served before."""
        return self._went(self._service.ask("POST", "/rollback", {"reason": "back"}))

    def _went(self, said: dict[str, Any]) -> dict[str, float]:
        self._serving = said["versions"][LARGE]
        for name, version in said["rejected"].items():
            self._registry.mark(name, version, Status.STABLE, "benchmark", "to be switched to again")
        time.sleep(0.2)  # what left is freed by then
        return dict(said["seconds"])


def main() -> int:
    options = arguments("Switches of large models.", megabytes=1007, rounds=15, starts=3, clients=50, rest=15)
    with folder() as place:
        size = publish_large(place, options.megabytes)
        token = configure(place, [LARGE], int(TWO_AND_A_BIT * size))
        warm([weights(place, LARGE, version) for version in VERSIONS])
        found = on_modelhost(place, token, options.rounds, options.starts, options.clients, options.rest)
        found |= naively(place, options.rounds)
        found["restart of the process"] = restarted(place)
    rows = [_row(way, timed, size) for way, timed in found.items()]
    notes = [
        f"{size / 1e6:,.0f} MB of random fp32 weights in one safetensors file; {options.rounds} rounds, warm files.",
        "to the flip: from the call within the service, with checks, load and warm-up (a forward pass through all of"
        " it); load_state_dict: until it returned, without a warm-up; restart: from the signal to the first answer.",
        "The first time: each file is hashed (XXH3-128) once in the life of a process. load has the hash in it.",
        f"p99: of requests under way in one of {UNDER} x {options.rounds} swaps, and of those in a time before in which"
        " nothing was switched, in the same run.",
        f"The budget holds {TWO_AND_A_BIT} models: the one that is kept for a way back goes before a third comes.",
        "Peak: USS, mapped weights included, less what the process has without a model; of both models together.",
    ]
    publish("A large model, switched", rows, notes, options.json)
    return 1 if any(timed.failed for timed in found.values()) else 0


def on_modelhost(place: Path, token: str, rounds: int, starts: int, clients: int, rest: float) -> dict[str, Timed]:
    """The rows of modelhost. `starts`: processes that each meet all versions for the first time. `rest`: seconds under
    the same clients in which nothing is switched."""
    first, swaps, under, back = Timed(), Timed(), Timed(), Timed()
    registry = DirectoryRegistry(place / REGISTRY)
    for _ in range(starts):
        forget(place)
        with Service("hosted", [str(place)], token).running() as service:
            operator = Operator(service, registry)
            for _ in VERSIONS[:-1]:
                first.add(operator.promote())
    forget(place)
    with Service("hosted", [str(place)], token).running() as service:
        operator = Operator(service, registry)
        for _ in VERSIONS:
            operator.promote()
        for _ in range(rounds):
            swaps.add(operator.promote())
        for _ in range(rounds):
            operator.promote()
            back.add(operator.rollback())
        with Load(service.url, SHOTS, clients=clients, pause=PAUSE, answer="json:told", keep=True) as load:
            time.sleep(SETTLED)
            began = time.perf_counter()
            time.sleep(rest)
            calm = began, time.perf_counter()
            operator.windows.clear()
            for _ in range(UNDER * rounds):
                under.add(operator.promote())
            result = load.stop()
        under.requests, under.failed = result.requests, result.failed
        under.latencies = evidence.latencies(result.exchanges, operator.windows, calm)
        with watched(service, swaps):
            for _ in range(MEMORY_ROUNDS):
                operator.promote()
    return {
        "modelhost, the first time": first,
        "modelhost": swaps,
        f"modelhost, under {clients} clients": under,
        "modelhost, rollback": back,
    }


def forget(place: Path) -> None:
    """A service that starts next knows no history: it begins with the newest version."""
    shutil.rmtree(place / "state", ignore_errors=True)


def naively(place: Path, rounds: int) -> dict[str, Timed]:
    """`load_state_dict` into the module that serves."""
    timed = Timed()
    with Service("plain", [str(place)]).running(VERSIONS[-1]) as service:

        def reload(turn: int) -> dict[str, float]:
            said = service.ask("POST", f"/reload?version={VERSIONS[turn % len(VERSIONS)]}")
            return dict(said["seconds"])

        reload(0)
        for turn in range(rounds):
            timed.add(reload(turn + 1))
        with watched(service, timed):
            for turn in range(MEMORY_ROUNDS):
                reload(turn)
    return {"load_state_dict, live": timed}


def restarted(place: Path) -> Timed:
    """The process ends and another begins, with another version."""
    timed = Timed()
    service = Service("plain", [str(place)])
    with service.running(VERSIONS[0]):
        for turn in range(RESTARTS):
            began = time.perf_counter()
            service.restart(VERSIONS[turn + 1])
            timed.add({"total": time.perf_counter() - began})
    return timed


@contextmanager
def watched(service: Service, timed: Timed) -> Iterator[None]:
    """Notes the peak of what the service has beyond what it had without a model."""
    peak = Peak(service.pid)
    with peak.watching():
        yield
    timed.peak = peak.bytes - service.ask("GET", "/before")["bytes"]


def _row(way: str, timed: Timed, size: int) -> dict[str, Any]:
    middle: Callable[[Sequence[float]], float] = statistics.median
    return {
        "way": way,
        "rounds": len(timed.flips),
        "to the flip ms, median": round(middle(timed.flips) * 1000, 1),
        "least": round(min(timed.flips) * 1000, 1),
        "most": round(max(timed.flips) * 1000, 1),
        "load ms": round(middle(timed.loads) * 1000, 1) or "-",
        "warm-up ms": round(middle(timed.warm_ups) * 1000, 1) or "-",
        "requests": timed.requests or "-",
        "failed": timed.failed if timed.requests else "-",
        "p99 at rest ms": _milliseconds(timed.latencies.rest if timed.latencies else {}),
        "p99 during ms": _milliseconds(timed.latencies.during if timed.latencies else {}),
        "peak MB": round(timed.peak / 1e6) or "-",
        "of both models": round(timed.peak / (2 * size), 3) or "-",
    }


def _milliseconds(found: Mapping[str, float]) -> float | str:
    return round(found["p99"] * 1000, 1) if found else "-"


if __name__ == "__main__":
    sys.exit(main())
