"""A tiny service that is deployed twice, so that a warm standby waits: what the benchmarks of commands work on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.command import COMPILED
from tests.support.images import base_image
from tests.support.site import Site, make_site

TAGS = ("v1.0.0", "v1.1.0")
_NO_GATES = {
    "checks": {
        "health": {"path": "/health", "timeout": "15s", "settle": "0s"},
        "warmup": {"requests": 0},
        "contract": None,
        "integration": None,
        "quality": None,
        "latency": None,
    },
    "rollout": {"observe": {"for": "0s"}},
}


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """v1.0.0 is the warm standby, v1.1.0 is live; no gate but health, and nobody watches. Taken down at the end."""
    base_image()
    with tempfile.TemporaryDirectory(prefix="release-benchmark-") as place:
        found = make_site(Path(place), manifest=_NO_GATES)
        found.environment |= COMPILED | {"PYTHONPYCACHEPREFIX": f"{place}/bytecode"}
        try:
            for tag in TAGS:
                found.repository.release(tag)
                found.deploy(tag)
            yield found
        finally:
            found.remove()
