"""What a request pays for being routed and kept to its set, and what it pays where its version has to be loaded first.

In one process, without HTTP: the model is called directly, then the same through `host.request` in the ways that a
service may have configured; all take turns. Then a version is asked for by number: one that is in memory, and one that
is on disk only.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load import percentiles
from benchmarks.modelhost.published import LARGE, PAIR, REGISTRY, VERSIONS, publish_large, publish_pairs
from benchmarks.modelhost.service import ENVIRONMENT, folder
from benchmarks.result import arguments, publish

SET = "pair"
DEPTH, WIDTH = 8, 512
BUDGET = 4 << 30
BATCH = 200  # calls of one way before it is the next one's turn
# Rules that look at the request and match none of these, and an experiment in which all get what serves.
ROUTING = """
routing:
  pair:
    rules:
      - {name: short, when: text_length < 3, version: 1.1.0}
      - {name: long, when: text_length > 100000, version: 1.0.0}
    weights: {name: AB, variants: {control: {version: stable, share: 50%}, same: {version: stable, share: 50%}}}
"""


def main() -> int:
    options = arguments("Requests through a host, lazy loads.", rounds=30, loads=30, megabytes=101)
    os.environ.update(ENVIRONMENT)
    with folder() as place:
        publish_pairs(place, DEPTH, WIDTH)
        size = publish_large(place, options.megabytes)
        rows = requests(place, options.rounds) + lazily(place, options.loads)
    notes = [
        f"Overhead: {options.rounds} turns of {BATCH} calls each; no load beside it, no HTTP. Added: to a direct"
        " call, or to a hit.",
        f"Hit and miss: {options.loads} each, of a component of 8 MB and of one of {size / 1e6:,.0f} MB; a miss finds"
        " warm files that were hashed before, and has the load and the warm-up in it.",
    ]
    publish("Requests through a host", rows, notes, options.json)
    return 0


def requests(place: Path, rounds: int) -> list[dict[str, Any]]:
    """The rows of overhead, in µs of one call."""
    plain, routed = _host(place, "plain", ""), _host(place, "routed", ROUTING)
    with plain, routed, asyncio.Runner() as runner:
        turns = _turns(plain, routed, runner)
        took: dict[str, list[float]] = {name: [] for name in turns}
        for number in range(rounds + 1):
            for name, turn in turns.items():
                seconds = turn()
                if number > 0:  # the first is slow for other reasons
                    took[name].append(seconds / BATCH)
    direct = percentiles(took["the model, called directly"])["p50"]
    return [_row(name, seconds, direct) for name, seconds in took.items()]


def _turns(plain: Any, routed: Any, runner: asyncio.Runner) -> dict[str, Callable[[], float]]:
    """Each calls the same cheap function of what serves, BATCH times, and returns the seconds."""
    from modelhost.routing.request import RequestFacts

    model = plain.serving.current()[PAIR[0]].model
    facts = RequestFacts(key="somebody", features={"text_length": 20})

    def directly() -> float:
        started = time.perf_counter()
        for _ in range(BATCH):
            _touch(model)
        return time.perf_counter() - started

    def through(host: Any, facts: RequestFacts) -> Callable[[], float]:
        def turn() -> float:
            started = time.perf_counter()
            for _ in range(BATCH):
                with host.request(facts, SET) as models:
                    _touch(models[PAIR[0]].model)
            return time.perf_counter() - started

        return turn

    async def all_async() -> float:
        started = time.perf_counter()
        for _ in range(BATCH):
            async with plain.request(about=SET) as models:
                _touch(models[PAIR[0]].model)
        return time.perf_counter() - started

    return {
        "the model, called directly": directly,
        "host.request, nothing to decide": through(plain, RequestFacts()),
        "host.request in an event loop": lambda: runner.run(all_async()),
        "host.request, two rules and an experiment": through(routed, facts),
    }


def _touch(model: Any) -> Any:
    """Far less than a forward pass: what is measured is the way to it."""
    return model.placement.threads


def lazily(place: Path, count: int) -> list[dict[str, Any]]:
    """The rows of versions asked for by number: in memory, and on disk only."""
    from modelhost.routing.request import RequestFacts

    rows = []
    with _host(place, "lazy", "", [*PAIR, LARGE]) as host:
        for about, lead in ((SET, PAIR[0]), (LARGE, LARGE)):
            facts = RequestFacts(version=VERSIONS[0])
            hits, misses = [], []
            for number in range(count + 1):
                seconds = _asked(host, facts, about, lead)
                again = _asked(host, facts, about, lead)
                for name in PAIR if about == SET else [LARGE]:
                    host.unload(name, VERSIONS[0])
                if number > 0:
                    misses.append(seconds)
                    hits.append(again)
            what = "a set of two, 8 MB each" if about == SET else "one large component"
            hit = percentiles(hits)["p50"]
            rows += [_row(f"hit: {what}", hits, hit), _row(f"miss: {what}", misses, hit)]
    return rows


def _asked(host: Any, facts: Any, about: str, lead: str) -> float:
    started = time.perf_counter()
    with host.request(facts, about, wait=None) as models:
        _touch(models[lead].model)
    return time.perf_counter() - started


def _host(place: Path, name: str, more: str, components: Sequence[str] = PAIR) -> Any:
    from benchmarks.modelhost.hosted import Loader
    from modelhost.host.host import ModelHost

    path = place / f"{name}.yaml"
    listed = ", ".join(f"{each}: {{routable: [{VERSIONS[0]}]}}" for each in components)
    path.write_text(
        f"registry: {{root: {REGISTRY}}}\ncomponents: {{{listed}}}\nmemory: {{budget: {BUDGET}}}\n"
        f"sets: {{{SET}: [{', '.join(PAIR)}]}}\n{more}"
    )
    return ModelHost.open(path, {"safetensors": Loader()}, state=place / name, hangup=False)


def _row(what: str, seconds: Sequence[float], base: float) -> dict[str, Any]:
    spread: Mapping[str, float] = percentiles(seconds)
    return {
        "what": what,
        "median µs": round(spread["p50"] * 1e6, 2),
        "p95 µs": round(spread["p95"] * 1e6, 2),
        "added µs": round((spread["p50"] - base) * 1e6, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
