"""What a failed build tells to do. The events are those of a classic builder; the builds themselves: test_docker.py."""

from __future__ import annotations

import pytest

from release.image.builder import failure
from release.image.stream import BuildStream


def told(*events: dict[str, str]) -> str:
    log = BuildStream()
    for event in events:
        log.feed(event)
    hint = failure("shop:v1.0.0-abcdefg", log).hint
    assert hint is not None
    return hint


@pytest.mark.parametrize(
    "error",
    [
        "pull access denied for nobody/nothing, repository does not exist or may require 'docker login'",
        'Get "https://registry.example.com/v2/": dial tcp: lookup registry.example.com: no such host',
        'Get "https://registry.example.com/v2/": net/http: request canceled while waiting for connection',
        "manifest for python:3.99 not found: manifest unknown: manifest unknown",
    ],
)
def test_a_base_image_that_cannot_be_pulled_leads_to_bootstrap(error: str) -> None:
    hint = told({"stream": "Step 1/4 : FROM --platform=linux/amd64 python:3.99 AS base\n"}, {"error": error})
    assert "docker pull python:3.99" in hint
    assert 'build: {base: {image: "python:3.99", argument: BASE_IMAGE, bootstrap: bookworm}}' in hint
    assert "FROM ${BASE_IMAGE}" in hint


def test_a_step_that_fails_shows_its_last_lines_and_speaks_of_no_base_image() -> None:
    events = {"stream": "Step 2/4 : RUN pip install ./x\n"}, {"stream": "no such host\n"}, {"error": "returned 1"}
    hint = told({"stream": "Step 1/4 : FROM python:3.11\n"}, *events)
    assert "it failed in Step 2/4" in hint and "no such host" in hint
    assert "bootstrap" not in hint
