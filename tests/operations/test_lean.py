"""The commands in a hurry import little: what they do not use takes longer to import than they take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "apprise",
    "docker",
    "fsspec",
    "git",
    "jinja2",
    "modelhost",
    "numpy",
    "pydantic",
    "requests",
    "rich",
    "sacrebleu",
    "yaml",
)
ROLLBACK = (
    "release.cli.commands.rollback",
    "release.wiring.desk",
    "release.engine.docker",
    "release.proxy.front",
    "release.operations.rollback",
)


def heavy_after(code: str) -> list[str]:
    """Which of the heavy libraries a fresh interpreter holds once it has run `code`."""
    ask = f"\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code + ask], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_help_needs_none_of_the_heavy_libraries() -> None:
    assert heavy_after("from release.cli import main\nmain.run(['--help'])") == []


def test_a_rollback_to_a_warm_standby_needs_none_of_the_heavy_libraries() -> None:
    assert heavy_after("".join(f"import {name}\n" for name in ROLLBACK)) == []


def test_hands_for_what_is_deployed_are_made_without_the_whole_manifest(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from release.config.state import State
from release.ledger.records import ReleaseRow
from release.ledger.store import Ledger
from release.wiring.desk import Desk
from release.wiring.surroundings import Surroundings
config = {kept()!r}
root = Path({str(tmp_path)!r})
state = State(root, "shop")
state.create()
with Ledger(state.ledger) as ledger:
    ledger.save_release(ReleaseRow("v1.0.0-abcdefg", "v1.0.0", "abcdefg", "sha256:1", "shop:v1.0.0", config=config))
hands = Desk(lambda event: None, Surroundings(root=root, cwd=root)).for_scope()
assert hands.front.switch.get() is None and hands.scope == "shop"
"""
    assert heavy_after(code) == []
    assert heavy_after(code + "assert hands.manifest.service == 'shop'") == ["pydantic", "yaml"]


def kept() -> dict[str, object]:
    from release.config.manifest import Manifest
    from release.config.stored import to_ledger

    return to_ledger(Manifest.model_validate({"service": "shop", "container": {"port": 80}}))
