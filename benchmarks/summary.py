"""What the README promises, beside what was measured: one line for each figure, picked from the benchmarks' rows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SIGNS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "≤": operator.le, "≥": operator.ge}


@dataclass(frozen=True)
class Figure:
    """A cell of a benchmark's table: the row in which all of `where` stands, and the column; and what is promised."""

    what: str
    benchmark: str
    where: Mapping[str, str]
    column: str
    sign: str
    limit: float


FIGURES = (
    Figure("requests lost at switches by flag files", "switch", {"way": "flag files"}, "failed", "≤", 0),
    Figure("a switch, µs", "switch", {"way": "flag files"}, "switch µs, median", "<", 1000),
    Figure("rollback to a warm standby, whole, ms", "rollback", {"what": "the whole command"}, "median ms", "<", 500),
    Figure("the switch in it, ms", "rollback", {"what": "the switch itself"}, "median ms", "<", 1),
    Figure("own share of a deployment, s", "deployment", {"what": "the toolkit's own share"}, "median s", "<", 1),
    Figure("release --help, ms", "startup", {"command": "release --help"}, "median ms", "<", 150),
    Figure("release status, ms", "startup", {"command": "release status"}, "median ms", "<", 500),
    Figure(
        "CPU that the flags add to a request, µs",
        "throughput",
        {"backend": "costs nothing", "case": "flags, green"},
        "more than plain",
        "≤",
        5,
    ),
    Figure(
        "throughput, of plain proxy_pass, with a service that takes 1 ms",
        "throughput",
        {"backend": "takes 1 ms", "case": "flags, green"},
        "of plain",
        "≥",
        0.97,
    ),
    Figure(
        "requests failed while model versions were switched", "modelhost.swap", {"way": "modelhost"}, "failed", "≤", 0
    ),
    Figure("answers from a mixed set of versions", "modelhost.swap", {"way": "modelhost"}, "mixed", "≤", 0),
    Figure(
        "requests failed, clients that never pause", "modelhost.swap", {"way": "modelhost, no pause"}, "failed", "≤", 0
    ),
    Figure(
        "answers mixed, clients that never pause", "modelhost.swap", {"way": "modelhost, no pause"}, "mixed", "≤", 0
    ),
    Figure(
        "a swap to 1 GB of weights, warm files, to the flip, ms",
        "modelhost.large",
        {"way": "modelhost"},
        "to the flip ms, median",
        "<",
        250,
    ),
    Figure(
        "the same for the first time in a process, ms",
        "modelhost.large",
        {"way": "modelhost, the first time"},
        "to the flip ms, median",
        "<",
        250,
    ),
    Figure(
        "memory at its peak, of both models together",
        "modelhost.large",
        {"way": "modelhost"},
        "of both models",
        "≤",
        1.1,
    ),
)


def rows(benchmarks: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each figure whose benchmark was run. Raises ValueError where its table has no such cell."""
    for figure in FIGURES:
        if figure.benchmark not in benchmarks:
            continue
        found = [row for row in benchmarks[figure.benchmark]["rows"] if figure.where.items() <= row.items()]
        if len(found) != 1 or figure.column not in found[0]:
            raise ValueError(f"benchmarks.{figure.benchmark} has no one cell for {figure.what!r}")
        measured = found[0][figure.column]
        holds = _SIGNS[figure.sign](measured, figure.limit)
        yield {
            "figure": figure.what,
            "measured": measured,
            "promised": f"{figure.sign} {figure.limit:g}",
            "holds": "yes" if holds else "NO",
        }
