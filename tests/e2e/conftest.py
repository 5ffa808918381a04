"""End to end: the command as installed, the real engine, the real nginx, a load that sees every loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.images import base_image
from tests.support.site import Site, make_site


@pytest.fixture(scope="session")
def base() -> str:
    return base_image()


@pytest.fixture
def site(tmp_path: Path, base: str) -> Iterator[Site]:
    """A service of this test alone; what the test put up is taken down after it."""
    site = make_site(tmp_path)
    yield site
    site.remove()
    assert site.containers() == {}, "a container is left behind"
    assert site.images() == [], "an image is left behind"
