"""The service in its own process, `python -m translator`, on a port of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]


@dataclass
class Running:
    """A started service."""

    process: subprocess.Popen[str]
    url: str

    def wait_until_ready(self) -> None:
        """Wait for /health to say ok; fails with the service's log when the process ends instead."""
        while self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        assert self.process.stdout is not None
        pytest.fail(f"the service ended with {self.process.returncode}:\n{self.process.stdout.read()}")

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


Start = Callable[..., Running]


def launch(**environment: str) -> Running:
    """Start the service with these environment variables besides the present ones."""
    port = free_port()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HOST": "127.0.0.1", "PORT": str(port), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "translator"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pipesize=1 << 20,  # nobody reads it before the end, and what a slow start says of each look must not fill it
    )
    return Running(process, f"http://127.0.0.1:{port}")
