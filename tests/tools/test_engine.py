"""tools/engine: takes down only what it started, and is loud where there is no Docker."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def engine(state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "RELEASE_ENGINE_STATE": str(state), **environment}
    return subprocess.run(
        [str(ROOT / "tools/engine"), *arguments], capture_output=True, text=True, env=env, timeout=120
    )


def test_a_docker_host_that_does_not_answer_means_the_process_engine_said_loudly(tmp_path: Path) -> None:
    done = engine(tmp_path, "start", "test", DOCKER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == 3
    assert "NO DOCKER ENGINE" in done.stderr
    assert "process engine" in done.stderr
    assert not (tmp_path / "owner").exists()


@pytest.mark.docker
def test_an_engine_that_runs_already_is_used_and_never_stopped(tmp_path: Path) -> None:
    assert engine(tmp_path, "start", "test").returncode == 0
    assert engine(tmp_path, "stop", "test").returncode == 0
    assert engine(tmp_path, "status").returncode == 0


@pytest.mark.docker
def test_what_one_owner_started_another_does_not_stop(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("demo dockerd\n")
    assert engine(tmp_path, "stop", "test").returncode == 0
    assert (tmp_path / "owner").exists()
