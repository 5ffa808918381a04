"""A registry and a loader for the tests of this room."""

from __future__ import annotations

import pytest

from tests.modelhost.loading.shelf import CountingLoader, Shelf


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def loader() -> CountingLoader:
    return CountingLoader()
