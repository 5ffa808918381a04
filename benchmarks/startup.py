"""How long a command takes that only looks, beside what Python itself and the command-line library take.

All take turns, so that what else the machine does hits them alike.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import deployed
from benchmarks.command import Spent, spent
from benchmarks.result import arguments, publish
from tests.support.site import Site


def main() -> int:
    options = arguments("Start-up time of the commands that only look.", rounds=20)
    with deployed.site() as site:
        turns = measured(site, options.rounds)
    notes = [f"{options.rounds} rounds, in turns; one service with two releases on the Docker Engine."]
    publish("Start-up time of commands", table(turns), notes, options.json)
    return 0


def measured(site: Site, rounds: int) -> dict[str, list[Spent]]:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "release --help": site.command("--help"),
        "release rollback --list": site.command("rollback", "--list"),
        "release status": site.command("status"),
    }
    turns: dict[str, list[Spent]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            took = spent(command, site.repository.path, site.environment)
            if number > 0:  # the first one compiles
                turns[name].append(took)
    return turns


def table(turns: dict[str, Sequence[Spent]] | dict[str, list[Spent]]) -> list[dict[str, Any]]:
    base = statistics.median(one.wall for one in turns["python -c pass"])
    return [
        {
            "command": name,
            "median ms": round(statistics.median(one.wall for one in those) * 1000, 1),
            "least ms": round(min(one.wall for one in those) * 1000, 1),
            "CPU ms": round(statistics.median(one.cpu for one in those) * 1000, 1),
            "of python -c pass": round(statistics.median(one.wall for one in those) / base, 2),
        }
        for name, those in turns.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
