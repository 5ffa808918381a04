"""Fixtures: real services, started for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.translator.running import Running, Start, launch


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """The service as it is shipped, ready."""
    running = launch(RELEASE_VERSION="v0.0.0-abc1234", RELEASE_REVISION="abc1234")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start services of the test's own; they end with the test."""
    begun: list[Running] = []

    def begin(**environment: str) -> Running:
        begun.append(launch(**environment))
        return begun[-1]

    yield begin
    for running in begun:
        running.stop()
