"""Fixtures: real services, started for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.translator.running import Running, Start, launch

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or "/usr/bin/chromium"
        opened = playwright.chromium.launch(executable_path=path, headless=True, args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()
