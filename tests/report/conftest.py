"""A real ledger with two deployments in it: one that a gate refused, and one that went live and was told about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from release.ledger.records import (
    DeploymentRow,
    DeploymentState,
    Kind,
    ReleaseRow,
    Standing,
    StepState,
    SwitchRow,
)
from release.ledger.store import Ledger
from release.verdict import failed, passed, skipped

COMPARED = {
    "title": "Candidate against live",
    "columns": ["metric", "group", "live", "candidate", "difference", "95 % interval", "margin", "verdict"],
    "rows": [
        ["BLEU", "all", "24.61", "20.02", "-4.59", "-5.51 to -3.70", "2.0", "fail"],
        ["BLEU", "daily", "26.00", "21.10", "-4.90", "-6.00 to -3.80", "2.0", "fail"],
    ],
}
WORST = {
    "title": "Worst cases",
    "columns": ["source", "reference", "live", "candidate", "chrF"],
    "rows": [["今天天气很好。", "The weather | is nice.", "The weather is fine.", "<b>weather</b> `x`", "-61.2"]],
}
LATENCY = {
    "title": "Latency",
    "columns": ["", "requests", "failed", "p50 ms", "p95 ms", "p99 ms"],
    "rows": [["candidate", "200", "0", "120", "212", "260"], ["live", "200", "0", "118", "208", "251"]],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    seconds = itertools.count()

    def clock() -> str:
        passed = next(seconds)
        return f"2026-11-21T02:{passed // 60:02d}:{passed % 60:02d}.000Z"

    with Ledger(tmp_path / "ledger.db", clock=clock) as ledger:
        yield ledger


def release(ledger: Ledger, name: str, standing: Standing, reason: str = "") -> None:
    tag, _, sha = name.rpartition("-")
    row = ReleaseRow(
        name=name,
        tag=tag,
        commit=sha.ljust(40, "0"),
        image_id=f"sha256:{sha * 9}",
        reference=f"registry.example.com/team/shop:{name}",
        standing=standing,
        reason=reason,
        config={"container": {"env": {"PASSWORD": "not for a report"}}},
        secrets={"API_KEY": "fingerprint"},
    )
    ledger.save_release(row)


def begin(ledger: Ledger, name: str, deployment: str, previous: str | None, kind: Kind = Kind.DEPLOY) -> None:
    ledger.begin(
        DeploymentRow(
            id=deployment,
            kind=kind,
            release=name,
            state=DeploymentState.RUNNING,
            actor="ada (GitHub Actions run 77)",
            host="host-1",
            pid=4711,
            started_at="2026-11-21T01:59:00.000Z",
            slot="green",
            previous_release=previous,
            previous_slot="blue" if previous else None,
            facts={"config": {"secret": "not for a report"}},
        )
    )


def refused(ledger: Ledger) -> str:
    release(ledger, "v1.2.0-def5678", Standing.REJECTED, "quality refused it")
    begin(ledger, "v1.2.0-def5678", "20261121-015900-aaaa", "v1.1.0-abc1234")
    step = partial(ledger.step, "20261121-015900-aaaa")
    for name, detail, seconds in (("resolve", "v1.2.0 is commit def5678", 0.2), ("start", "shop-green on 8102", 0.4)):
        step(name, StepState.STARTED)
        step(name, StepState.DONE, detail, seconds)
    ledger.save_verdict("20261121-015900-aaaa", skipped("contract", "nothing to compare with"))
    ledger.save_verdict(
        "20261121-015900-aaaa", passed("latency", "p95 212 ms, budget 800 ms", tables=[LATENCY], ratio=1.02)
    )
    quality = failed("quality", "BLEU is 4.59 worse than live", tables=[COMPARED, WORST], cases=1335, unanswered=0)
    step("quality", StepState.STARTED)
    ledger.save_verdict("20261121-015900-aaaa", quality)
    step("quality", StepState.FAILED, quality.reason, 61.5)
    for name, detail in (("start", "removed shop-green"), ("resolve", "")):
        step(name, StepState.UNDOING)
        step(name, StepState.UNDONE, detail, 0.1)
    log = "\n".join(["INFO started", "```", "::error::no command", "<script>alert(1)</script>"])
    ledger.attach("20261121-015900-aaaa", "candidate.log", log)
    ledger.finish(
        "20261121-015900-aaaa", DeploymentState.REFUSED, 1, "quality refused it: BLEU is 4.59 worse than live"
    )
    return "20261121-015900-aaaa"


def live(ledger: Ledger) -> str:
    release(ledger, "v1.1.0-abc1234", Standing.GOOD)
    begin(ledger, "v1.1.0-abc1234", "20261121-015900-bbbb", None)
    for name, state, detail, seconds in (
        ("switch", StepState.DONE, "traffic is on green (38 µs)", 0.01),
        ("push", StepState.SKIPPED, "registry.push is off", 0.0),
        ("observe", StepState.DONE, "1204 requests, 0 errors", 1800.4),
    ):
        ledger.step("20261121-015900-bbbb", name, StepState.STARTED)
        ledger.step("20261121-015900-bbbb", name, state, detail, seconds)
    ledger.save_switch(
        SwitchRow(
            "20261121-015900-bbbb", "2026-11-21T02:00:30.000Z", None, 1000, 38.4, "v1.1.0-abc1234", "ada", "deploy"
        )
    )
    ledger.note("notification failed", "mail: connection refused", "20261121-015900-bbbb")
    ledger.finish("20261121-015900-bbbb", DeploymentState.LIVE, 0, "v1.1.0-abc1234 is live")
    return "20261121-015900-bbbb"
