"""What an observation saw, told as evidence: counts, rates, percentiles, and a table of them for people. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from release.observe.budget import Budget
from release.observe.eprocess import BinomialEProcess, wilson


@dataclass(frozen=True)
class Counts:
    """`requests` were answered or ought to have been; those that never reached the slot are `elsewhere`."""

    requests: int = 0
    errors: int = 0
    refused: int = 0
    abandoned: int = 0
    slow: int = 0
    elsewhere: int = 0


def told(
    budget: Budget, counts: Counts, times: Iterable[float], errors: BinomialEProcess, slow: BinomialEProcess
) -> dict[str, Any]:
    """JSON-serialisable facts; times in seconds, rates as fractions."""
    low, high = wilson(counts.errors, counts.requests)
    ordered = sorted(times)
    smallest = errors.detectable(errors.requests)
    percentiles = {f"p{q}": _percentile(ordered, q / 100) for q in (50, 95, 99)}
    return {
        "requests": counts.requests,
        "min_requests": budget.min_requests,
        "errors": counts.errors,
        "error_rate": counts.errors / counts.requests if counts.requests else None,
        "error_rate_95": [low, high],
        "max_error_rate": budget.max_error_rate,
        "e_errors": _finite(errors.evidence()),
        "slow": counts.slow,
        "p95_budget": budget.p95,
        "e_slow": _finite(slow.evidence()),
        "e_trips_at": 1 / budget.alpha,
        "latency": percentiles,
        "refused": counts.refused,
        "abandoned": counts.abandoned,
        "detectable_error_rate": smallest,
        "tables": [_table(budget, counts, (low, high), percentiles, smallest)],
    }


def percent(fraction: float) -> str:
    return f"{fraction * 100:g} %"


def _table(
    budget: Budget,
    counts: Counts,
    interval: tuple[float, float],
    percentiles: dict[str, float | None],
    smallest: float | None,
) -> dict[str, Any]:
    rate = counts.errors / counts.requests if counts.requests else 0.0
    errors = f"{counts.errors} ({rate:.2%}; 95 % interval {interval[0]:.2%} to {interval[1]:.2%})"
    limit = f"at most {percent(budget.max_error_rate)}"
    rows = [
        ["requests", str(counts.requests), f"at least {budget.min_requests}"],
        ["errors (5xx, no answer)", errors if counts.requests else "0", limit],
        ["refused (4xx)", str(counts.refused), "not judged"],
        ["clients that left", str(counts.abandoned), "not judged"],
    ]
    for name, value in percentiles.items():
        judged = name == "p95" and budget.p95 is not None
        asked = f"at most {(budget.p95 or 0) * 1000:g} ms" if judged else "not judged"
        rows.append([name, "no data" if value is None else f"{value * 1000:.0f} ms", asked])
    shown = "none" if smallest is None else f"{smallest:.2%} and above"
    rows.append(["error rates that so many requests show", shown, ""])
    return {"title": "Observation", "columns": ["what", "seen", "budget"], "rows": rows}


def _percentile(ordered: list[float], q: float) -> float | None:
    """Nearest rank: the smallest value that at least the share `q` does not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else None


def _finite(value: float) -> float:
    return min(value, 1e300)  # JSON knows no infinity
