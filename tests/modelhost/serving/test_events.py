"""Who is told of a switch, and what happens when they do not listen."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from modelhost.errors import ModelHostError
from modelhost.registry.base import Status
from modelhost.serving.events import FOR_PEOPLE, Event, Reach, through_apprise
from tests.modelhost.loading.published import damage
from tests.modelhost.serving.workshop import Workshop, answer
from tests.support.hook import hook


def test_every_subscriber_hears_of_every_switch_in_order(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    serving.rollback("model", who="bob", reason="worse")
    assert serving.events.flush(60)
    assert [event.title for event in shop.heard] == [
        "start: model nothing → 1.0.0 (start-up)",
        "swap: model 1.0.0 → 2.0.0 (ann)",
        "rollback: model 2.0.0 → 1.0.0 (bob)",
    ]
    assert shop.heard[-1].body == "worse\nrejected: model 2.0.0"


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of each line of the serving room, which are one line each."""
    lines = [each for each in caplog.records if each.name.startswith("modelhost.serving.events")]
    assert not any("\n" in each.getMessage() for each in lines)
    return [(each.levelname, each.getMessage()) for each in lines]


def test_every_switch_is_in_the_log_with_who_and_why_though_nobody_subscribed(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    with caplog.at_level(logging.INFO, "modelhost"):
        serving.swap({"model": "2.0.0"}, who="ann", why="better\nby far")
        serving.rollback("model", who="bob", reason="worse")
    assert said(caplog) == [
        ("INFO", "swap: model 1.0.0 → 2.0.0 (ann): better; by far"),
        ("INFO", "rollback: model 2.0.0 → 1.0.0 (bob): worse; rejected: model 2.0.0"),
    ]


def test_what_did_not_happen_is_a_warning_and_what_needs_a_person_an_error(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "2.0.0"})
    shop.mark("model", "1.0.0", Status.REJECTED)
    with pytest.raises(ModelHostError):
        serving.swap({"model": "1.0.0"}, who="ann", why="back")
    with pytest.raises(ModelHostError):
        serving.rollback("model", "9.0.0", who="bob", reason="worse")
    with pytest.raises(ModelHostError):
        serving.rollback("model", who="bob", reason="worse")
    (swap, back, alert) = said(caplog)
    assert swap[0] == back[0] == "WARNING" and alert[0] == "ERROR"
    assert swap[1].startswith(
        "swap refused: model 2.0.0 → 1.0.0 (ann): back; model 1.0.0 is rejected: ann rejected it (looked at); "
    )
    assert back[1].startswith("rollback refused: model 2.0.0 → 9.0.0 (bob): worse; ")
    assert alert[1].startswith("ALERT: rollback refused: model 2.0.0 (bob): worse; model: no version that served")


def test_a_start_that_falls_back_to_an_older_version_is_an_error_in_the_log(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    damage(shop.registry.find("model", "2.0.0"), "cut")
    shop.serve().start()
    ((level, line),) = [each for each in said(caplog) if each[0] != "INFO"]
    assert level == "ERROR" and line.startswith("ALERT: start: model nothing → 1.0.0 (start-up): start; ")
    assert "weights.safetensors" in line


def test_what_is_of_the_whole_cluster_is_heard_by_those_alone_who_ask_for_it(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    serving = shop.serve({"model": "1.0.0"})
    assert serving.events.flush(60)
    for_people: list[Event] = []
    serving.events.subscribe(for_people.append, FOR_PEOPLE)
    events = [Event(shop.heard[0].record, reach=reach) for reach in Reach]
    for event in events:
        serving.events.publish(event)
    assert serving.events.flush(60)
    here, part, whole = events
    assert (shop.heard[1:], for_people) == ([here, part], [here, whole])


def test_one_that_raises_and_one_that_hangs_harm_neither_the_switch_nor_the_others(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve()
    hanging = threading.Event()
    done = threading.Event()

    def raising(event: Event) -> None:
        try:
            raise OSError("no network")
        finally:
            done.set()

    serving.subscribe(raising)
    stop = serving.subscribe(lambda event: hanging.wait(30))
    serving.start({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert answer(serving) == {"model": "model 2.0.0"}
    assert not serving.events.flush(timeout=0.05)
    stop()
    hanging.set()
    assert serving.events.flush(60)
    assert done.is_set() and len(shop.heard) == 2
    assert "a subscriber failed to hear of: swap" in caplog.text


def test_a_subscriber_may_ask_and_switch_because_no_lock_is_held(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    seen: list[dict[str, str]] = []

    def nosy(event: Event) -> None:
        if event.record.after == {"model": "2.0.0"}:
            serving.rollback("model", who="guard", reason="nonsense")
        seen.append(answer(serving))

    serving.subscribe(nosy)
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert serving.events.flush(60)
    assert seen == [{"model": "model 1.0.0"}] * 2


def test_apprise_carries_who_and_why_and_an_alert_as_a_failure(shop: Workshop) -> None:
    with hook() as (address, received):
        shop.publish("model", "1.0.0")
        serving = shop.serve(fallbacks=[shop.dictionary()])
        serving.subscribe(through_apprise([address], "translator"))
        serving.start({"model": "1.0.0"})
        serving.rollback("model", who="bob", reason="nonsense")
        assert serving.events.flush(30)
    assert [message["type"] for message in received] == ["info", "failure"]
    assert received[1]["title"] == "translator: ALERT: rollback: model 1.0.0 → the fallback (bob)"
    assert received[1]["message"].startswith("nonsense\nrejected: model 1.0.0")


def test_an_address_that_cannot_be_reached_is_said_with_its_kind_and_why_and_without_its_secrets(
    shop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # nobody answers there when this is closed
    shop.publish("model", "1.0.0")
    serving = shop.serve()
    urls = [f"json://ann:hunter2@127.0.0.1:{port}/s3cr3t", "foo", "slack://hunter2"]
    serving.subscribe(through_apprise(urls, "translator"))
    serving.start({"model": "1.0.0"})
    assert serving.events.flush(60)
    lines = [text for level, text in said(caplog) if level == "ERROR"]
    began = "did not hear of: start: model nothing → 1.0.0 (start-up): "
    assert lines[0].startswith(f"notification address 1 of 3 (json) {began}A Connection error occurred")
    assert lines[1] == f"notification address 2 of 3 (no URL) {began}apprise does not know such an address"
    assert lines[2] == f"notification address 3 of 3 (slack) {began}apprise does not know such an address"
    assert "hunter2" not in caplog.text and "s3cr3t" not in caplog.text
