"""A version that serves and is marked rejected by somebody else: people are told once, and nothing switches."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from modelhost.host.host import ModelHost
from modelhost.host.rejected import Rejected
from modelhost.registry.base import Status
from modelhost.serving.events import Event
from tests.modelhost.host.service import PAIR, Service, words
from tests.modelhost.serving.workshop import eventually


def heard_by(host: ModelHost) -> list[Event]:
    heard: list[Event] = []
    host.serving.subscribe(heard.append)
    return heard


def turns(host: ModelHost, number: int = 3) -> None:
    """So many looks of the upkeep, and whoever is told by them."""
    for _ in range(number):
        host._look_around()
    assert host.serving.events.flush(60)


def mark(service: Service, version: str, status: Status, who: str = "eve", why: str = "it insults people") -> None:
    service.shop.registry.mark("model", version, status, who, why)


def test_who_rejected_what_serves_and_why_is_told_once_and_it_serves_on(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    heard = heard_by(host)
    mark(service, "1.1.0", Status.REJECTED)
    eventually(lambda: len(heard) == 1)
    turns(host)
    (event,) = heard
    assert event.alert and event.title == "ALERT: model 1.1.0 was rejected, and serves (eve)"
    assert event.body.startswith("it insults people\nrejected: model 1.1.0")
    assert "POST /rollback/model" in event.body and "POST /promote/model" in event.body
    assert words(host) == {"model": "model 1.1.0", "tokenizer": "tokenizer 1.1.0"}
    assert [record.kind for record in host.serving.history.records()] == ["start"]


def test_it_is_told_again_only_after_the_mark_was_another(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    heard = heard_by(host)
    mark(service, "1.1.0", Status.REJECTED)
    eventually(lambda: len(heard) == 1)
    mark(service, "1.1.0", Status.REJECTED, "bob", "I think so too")
    turns(host)
    assert len(heard) == 1, "it was rejected already"
    mark(service, "1.1.0", Status.STABLE, "ann", "it does not")
    turns(host)
    assert len(heard) == 1
    mark(service, "1.1.0", Status.REJECTED, "bob", "it does")
    eventually(lambda: len(heard) == 2)
    assert (heard[1].record.who, heard[1].record.why) == ("bob", "it does")


def test_an_unstable_version_that_serves_is_told_of_too(service: Service) -> None:
    service.pair("1.0.0")
    service.pair("2.0.0", stable=False)
    named = "{model: {default: 2.0.0}, tokenizer: {default: 2.0.0}}"
    host = service.open(PAIR.replace("{model: {}, tokenizer: {}}", named))
    heard = heard_by(host)
    mark(service, "2.0.0", Status.REJECTED)
    eventually(lambda: [event.record.rejected for event in heard] == [{"model": "2.0.0"}])


def test_neither_a_rollback_nor_the_mark_of_what_does_not_serve_is_an_alert(service: Service) -> None:
    service.pair("1.0.0", "1.1.0", "1.2.0")
    host = service.open(PAIR)
    host.promote({"translation": "1.0.0"}, who="ann", why="compare")
    host.promote({"translation": "1.1.0"}, who="ann", why="compare")
    heard = heard_by(host)
    mark(service, "1.2.0", Status.REJECTED)
    host.rollback("translation", who="bob", reason="worse")
    turns(host)
    assert [(event.record.kind, event.alert) for event in heard] == [("rollback", False)]


def test_a_rollback_while_the_marks_are_read_is_no_alert(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR, upkeep_seconds=3600)
    host.promote({"translation": "1.0.0"}, who="ann", why="compare")
    host.promote({"translation": "1.1.0"}, who="ann", why="compare")
    heard = heard_by(host)
    among = host.rejections.among

    def after_a_rollback(versions: Mapping[str, str]) -> list[Rejected]:
        monkeypatch.undo()
        host.rollback("translation", who="bob", reason="worse")
        return among(versions)

    monkeypatch.setattr(host.rejections, "among", after_a_rollback)
    host.rejections.look()
    turns(host)
    assert [(event.record.kind, event.alert) for event in heard] == [("rollback", False)]


def test_a_fallback_that_serves_is_no_version_of_the_registry(service: Service) -> None:
    service.pair("1.0.0")
    host = service.open(PAIR, fallbacks=[service.shop.dictionary()])
    host.rollback("model", who="bob", reason="worse")
    heard = heard_by(host)
    turns(host)
    assert heard == [] and words(host)["model"] == "model by dictionary"


def test_a_registry_out_of_reach_delays_the_alert_and_does_not_repeat_it(service: Service) -> None:
    service.pair("1.0.0", "1.1.0")
    host = service.open(PAIR)
    heard = heard_by(host)
    away = service.shop.root.with_name("away")
    mark(service, "1.1.0", Status.REJECTED)
    eventually(lambda: len(heard) == 1)
    service.shop.root.rename(away)
    turns(host)
    away.rename(service.shop.root)
    turns(host)
    assert len(heard) == 1
