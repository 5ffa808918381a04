"""A rollback to a warm standby, end to end: the whole command, when traffic has moved, and the switch in it.

"traffic moved" is seen from outside: a client asks through nginx all the time, and the clock stops at the first answer
of the other release. `python -c pass` beside it says what the machine takes to start an interpreter.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import deployed
from benchmarks.command import Spent, Started, spent
from benchmarks.result import arguments, publish
from tests.support.site import Site

PAUSE = 0.002  # seconds between two questions of the client that looks from outside
PATIENCE = 30.0


def main() -> int:
    options = arguments("A rollback to a warm standby, end to end.", rollbacks=20)
    with deployed.site() as site:
        rollback(site, deployed.TAGS[0])  # compiles
        turns = [rollback(site, deployed.TAGS[number % 2 - 1]) for number in range(options.rollbacks)]
        bare = [spent([sys.executable, "-c", "pass"], site.state, site.environment) for _ in turns]
    rows = table(turns, bare)
    notes = [f"{len(turns)} rollbacks, forth and back, on the Docker Engine; no load beside it."]
    publish("A rollback to a warm standby", rows, notes, options.json)
    return 0


def rollback(site: Site, tag: str) -> tuple[Spent, float, dict[str, Any]]:
    """What one took, seconds until its traffic was seen to have moved, and what it says of itself."""
    command = site.command("rollback", "--to", tag, "--json")
    started = Started(command, site.repository.path, site.environment)
    moved = _seen(site, tag.removeprefix("v"), started.began)
    done = started.wait()
    if moved is None:
        raise RuntimeError(f"{tag} was never seen through nginx:\n{done.out}")
    return done, moved, dict(json.loads(done.out)["data"])


def _seen(site: Site, version: str, began: float) -> float | None:
    client = http.client.HTTPConnection(site.url.removeprefix("http://"), timeout=5)
    try:
        while time.perf_counter() - began < PATIENCE:
            client.request("GET", "/version")
            answer = client.getresponse()
            answer.read()
            if answer.headers["X-Version"] == version:
                return time.perf_counter() - began
            time.sleep(PAUSE)
        return None
    finally:
        client.close()


def table(turns: Sequence[tuple[Spent, float, dict[str, Any]]], bare: Sequence[Spent]) -> list[dict[str, Any]]:
    base = statistics.median(one.wall for one in bare)

    def row(what: str, seconds: Sequence[float]) -> dict[str, Any]:
        middle = statistics.median(seconds)
        return {
            "what": what,
            "median ms": round(middle * 1000, 3),
            "least ms": round(min(seconds) * 1000, 3),
            "most ms": round(max(seconds) * 1000, 3),
            "of python -c pass": round(middle / base, 3),
        }

    return [
        row("the whole command", [done.wall for done, _, _ in turns]),
        row("until traffic has moved", [moved for _, moved, _ in turns]),
        row("the switch itself", [said["switch_microseconds"] / 1e6 for _, _, said in turns]),
        row("CPU of the whole command", [done.cpu for done, _, _ in turns]),
        row("python -c pass", [one.wall for one in bare]),
        row("CPU of python -c pass", [one.cpu for one in bare]),
    ]


if __name__ == "__main__":
    sys.exit(main())
