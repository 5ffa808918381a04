"""The base image that tests build upon, made once from Debian packages and kept: it takes about a minute."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from release.image.base import DockerBases

SUITE = "bookworm"


@functools.cache
def base_image() -> str:
    """`release-base:bookworm-python3`, with Debian's Python as `python3`; made where it is not here yet."""
    cache = Path(tempfile.gettempdir()) / "release-test-bases"
    return DockerBases(cache).bootstrap(SUITE, lambda line: print(line))
