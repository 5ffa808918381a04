"""What a promotion brings into a service's memory for its gate leaves again where the promotion comes to nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelhost.registry.base import Status
from release.models.service import ModelService
from release.operations import models_switch
from tests.cli.calling import Call, Said
from tests.cli.gated import gate
from tests.cli.severed import severed
from tests.cli.test_models_running import awaited, recorded, state_of
from tests.support.translating import Translating
from tests.support.workers import Workers

WHY = ("--reason", "for a test")


@pytest.fixture
def running(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Translating]:
    """1.0.0 serves; 1.1.0 is as good, and 1.2.0 is worse."""
    service = Translating(tmp_path / "service")
    service.publish("1.0.0", stable=True)
    service.publish("1.1.0")
    service.publish("1.2.0", wrong=14)
    service.start()
    monkeypatch.setenv("OPERATOR", service.operator)
    gate(tmp_path / "here", service.url)
    yield service
    service.stop()


def afterwards(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, then: Callable[[], object]) -> None:
    """`then` happens when `owner.name` has done what it does."""
    doing = getattr(owner, name)

    def done(*arguments: Any, **options: Any) -> Any:
        found = doing(*arguments, **options)
        then()
        return found

    monkeypatch.setattr(owner, name, done)


def promoted(call: Call, *more: str) -> Said:
    return call("models", "promote", "translator", "1.1.0", *WHY, *more)


def test_a_promotion_that_is_refused_after_its_gate_leaves_nothing_in_memory(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.host is not None
    registry = running.host.registry
    afterwards(
        monkeypatch,
        models_switch,
        "_require_unchanged",
        lambda: registry.mark("translator", "1.1.0", Status.REJECTED, "bert", "meanwhile"),
    )
    said = promoted(call)
    assert said.code == 1 and "rejected" in said.err, said.err
    assert running.serving == "1.0.0"
    awaited(lambda: state_of(call, "1.1.0") == "UNAVAILABLE")


def test_a_signal_between_the_gate_and_the_switch_undoes_what_was_loaded(
    call: Call, running: Translating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterwards(monkeypatch, models_switch, "_require_unchanged", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert promoted(call).code == 5 and running.serving == "1.0.0"
    _, (verdict,) = recorded(tmp_path)
    assert verdict.green
    awaited(lambda: state_of(call, "1.1.0") == "UNAVAILABLE")


def test_a_signal_while_a_version_is_loaded_unloads_it_although_nobody_heard_that_it_was_there(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterwards(monkeypatch, ModelService, "load", lambda: os.kill(os.getpid(), signal.SIGINT))
    assert promoted(call).code == 5 and running.serving == "1.0.0"
    awaited(lambda: state_of(call, "1.1.0") == "UNAVAILABLE")


def test_what_was_in_memory_before_stays_there(
    call: Call, running: Translating, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert running.host is not None
    running.host.load("translator", "1.1.0")
    running.host.load("translator", "1.2.0")
    assert call("models", "promote", "translator", "1.2.0", *WHY).code == 1
    afterwards(monkeypatch, models_switch, "_require_unchanged", lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert promoted(call).code == 5
    with monkeypatch.context() as loading:
        afterwards(loading, ModelService, "load", lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert promoted(call).code == 5
    assert (state_of(call, "1.1.0"), state_of(call, "1.2.0")) == ("READY", "READY")


# -- in a cluster, where what is loaded by name is held until somebody lets go of it -----------------------------------


@pytest.fixture
def workers(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    workers = Workers(tmp_path / "service")
    workers.service.publish("1.0.0", stable=True)
    workers.service.publish("1.1.0")
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", workers.service.operator)
    monkeypatch.setenv("OPERATOR", workers.service.operator)
    gate(tmp_path / "here", workers.url)
    try:
        workers.start()
        yield workers
    finally:
        workers.stop()


def test_a_line_that_breaks_after_the_gate_leaves_no_hold_and_one_of_somebody_else_stays(
    call: Call, workers: Workers
) -> None:
    with severed(workers.url, "/promote") as url:
        said = promoted(call, "--url", url)
        assert said.code == 3, said.err
        assert json.loads(call("history", "--json").out)["model_switches"][0]["verdicts"][0]["outcome"] == "pass"
        assert workers.held() == []
        assert workers.repository("load", "1.1.0").status_code == 200
        assert promoted(call, "--url", url).code == 3
        assert workers.held() == ["1.1.0"]


def test_what_could_not_be_unloaded_is_named(call: Call, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    afterwards(monkeypatch, models_switch, "_require_unchanged", lambda: os.kill(os.getpid(), signal.SIGTERM))
    with severed(workers.url, "/v2/repository/models/translator/unload") as url:
        said = promoted(call, "--url", url)
    assert said.code == 5 and "translator 1.1.0 was loaded for the gate and may still be in memory" in said.err
    assert workers.held() == ["1.1.0"]
