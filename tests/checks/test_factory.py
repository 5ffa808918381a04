"""The factory: configured gates in the order of a deployment, and a reason for each that is left out."""

from __future__ import annotations

import subprocess
import sys

from release import checks
from release.config.manifest import Manifest
from release.verdict import Outcome

REQUEST = {"path": "/t", "json": {"q": "{source}"}}
QUALITY = {"cases": "c.jsonl", "request": REQUEST, "answer": "a", "metrics": {"bleu": {}}}


def manifest(**sections: object) -> Manifest:
    return Manifest.model_validate({"service": "s", "container": {"port": 1}, "checks": sections})


def test_every_configured_gate_is_built_in_the_order_of_a_deployment() -> None:
    whole = manifest(latency={"p95": "1s"}, quality=QUALITY, integration={}, contract={}, warmup={}, health={})
    assert tuple(check.name for check in checks.build(whole)) == checks.ORDER
    assert checks.unconfigured(whole) == []


def test_what_is_not_configured_is_skipped_aloud() -> None:
    bare = manifest(latency={"p95": "1s"})
    assert [check.name for check in checks.build(bare)] == ["health", "warmup", "latency"]
    left_out = checks.unconfigured(bare)
    assert [(v.check, v.outcome) for v in left_out] == [
        (name, Outcome.SKIPPED) for name in ("contract", "integration", "quality")
    ]
    assert left_out[2].reason == "not configured (checks.quality)"


def test_building_gates_loads_no_heavy_library() -> None:
    """`release status` builds nothing, and `release deploy` should not wait for numpy before its first line."""
    code = (
        "import sys; from release import checks; from release.checks import health, warmup, contract, integration,"
        "quality, latency; print(*{'numpy', 'sacrebleu', 'requests', 'jmespath', 'yaml', 'pytest'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", code]
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split() == []
