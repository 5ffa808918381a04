"""The import contracts catch what they are there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("release/engine/base.py", "import release.proxy.base", "siblings on a floor do not know each"),
        ("release/config/manifest.py", "import release.ledger.store", "only from floors below"),
        ("release/naming.py", "import time", "Thinking rooms"),
        ("release/observe/guard.py", "import socket", "Thinking rooms"),
        ("release/observe/evidence.py", "import time", "Thinking rooms"),
        ("release/rollout/targets.py", "import sqlite3", "Thinking rooms"),
        ("release/proxy/render.py", "import subprocess", "Thinking rooms"),
        ("release/image/retention.py", "import docker", "Thinking rooms"),
        ("release/checks/statistics.py", "import random", "Thinking rooms"),
        ("release/checks/openapi.py", "import requests", "Thinking rooms"),
        ("translator/model.py", "import release.naming", "service knows nothing of the toolkit"),
        ("release/models/registry.py", "import modelhost.serving.live", "one room of it does"),
        ("release/operations/deploy.py", "import modelhost.registry.base", "one room of it does"),
        ("release/newroom.py", "", "not listed as layers"),
    ],
)
def test_a_wrong_import_breaks_its_contract(file: str, line: str, contract: str, tmp_path: Path) -> None:
    for package in ("release", "translator"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    with (tmp_path / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    command = [
        str(Path(sys.executable).parent / "lint-imports"),
        "--no-cache",
        "--config",
        str(ROOT / "pyproject.toml"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    broken = " ".join(done.stdout.partition("Broken contracts")[2].split())
    assert contract in broken
