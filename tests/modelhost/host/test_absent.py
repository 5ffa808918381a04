"""Versions that the configuration names and the registry lacks are no reason to refuse it, and a warning."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from modelhost.registry.base import Status
from tests.modelhost.host.service import PAIR, Service, words
from tests.modelhost.serving.workshop import eventually

FLAT = "\n".join(line.strip() for line in PAIR.strip().splitlines()) + "\n"
ROUTED = """
routing:
  translation:
    rules: [{name: short, when: text_length < 20, version: 7.0.0}]
    weights: {name: AB, variants: {treatment: {version: 8.0.0, share: 10%}}}
    api: {1: {shape: tiny/1, version: 9.0.0}}
"""
LISTED = FLAT.replace("model: {}", "model: {routable: [1.0.0, 5.0.0], versions: {6.0.0: {threads: 2}}, pinned: true}")
THERE = "which is not in the registry; there is 1.1.0, 1.0.0"
WARNINGS = (
    f"routing.translation.rules[0].version names model 7.0.0, {THERE}",
    f"routing.translation.api.1.version names model 9.0.0, {THERE}",
    f"routing.translation.weights.variants.treatment.version names model 8.0.0, {THERE}",
    f"components.model.routable[1] names model 5.0.0, {THERE}",
    f"components.model.versions.6.0.0 names model 6.0.0, {THERE}",
)


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, "modelhost.host.absent")
    return lambda: [each.getMessage() for each in caplog.records if each.name == "modelhost.host.absent"]


def test_a_start_names_key_version_and_what_there_is_and_serves(
    service: Service, warned: Callable[[], list[str]]
) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(LISTED + ROUTED)
    assert tuple(warned()) == host.absences.warnings() == WARNINGS
    assert words(host)["model"] == "model 1.1.0"


def test_a_reload_says_it_in_its_answer_and_what_is_published_later_is_forgotten(
    service: Service, warned: Callable[[], list[str]]
) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT)
    assert not warned()
    service.write(FLAT + ROUTED)
    outcome = host.reload()
    assert outcome.ok and outcome.warnings == WARNINGS[:3]
    service.pair("7.0.0", stable=False)
    eventually(lambda: len(host.absences.warnings()) == 2)
    assert not any("names model 7.0.0" in each for each in host.reload().warnings)
    assert warned() == list(WARNINGS[:3]), "each once"


def test_what_was_published_a_moment_ago_is_no_reason_for_a_warning(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT, upkeep_seconds=3600)
    service.pair("7.0.0", stable=False)
    service.write(FLAT + ROUTED.split("    weights")[0])
    outcome = host.reload()
    assert outcome.ok and outcome.warnings == ()


def test_one_that_was_rejected_is_called_that(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    service.shop.mark("model", "1.0.0", Status.REJECTED)
    host = service.open(FLAT.replace("model: {}", "model: {routable: [1.0.0]}"))
    assert host.absences.warnings() == ("components.model.routable[0] names model 1.0.0, which is rejected",)


def test_routable_of_a_component_that_does_not_name_its_set_is_told_where_it_counts(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(FLAT.replace("tokenizer: {}", "tokenizer: {routable: [1.0.0]}"))
    (warning,) = host.absences.warnings()
    assert warning.startswith("components.tokenizer.routable has no effect on requests to the set translation")
    assert "one of model" in warning
