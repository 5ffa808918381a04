"""Several workers without a cluster do not switch in silence, one of them alone: it is refused, warned of, and said."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhost.errors import Conflict
from modelhost.http import siblings as siblings_room
from modelhost.http.processes import Processes
from modelhost.http.siblings import Siblings
from tests.modelhost.host.service import PAIR, Service
from tests.modelhost.http.band import band
from tests.modelhost.serving.workshop import eventually

CONFIGURATION = PAIR + "    http: {tokens: tokens.jsonl, audit: audit.jsonl}\n"
LINE = "write cluster: {group: NAME} into the configuration"


def _switches() -> Iterator[tuple[str, dict[str, object]]]:
    back: dict[str, object] = {"versions": {"model": "1.0.0", "tokenizer": "1.0.0"}, "reason": "x"}
    yield "/promote", back
    yield "/rollback", {"reason": "x"}
    yield "/v2/repository/models/model/load?version=1.0.0", {}
    yield "/v2/repository/models/model/unload?version=1.1.0", {}


def test_two_workers_without_a_cluster_refuse_to_switch_one_of_them_and_say_which_line_they_lack(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0", "1.1.0")
    service.write(CONFIGURATION)
    with band(service, 2) as site:
        eventually(lambda: len(site.processes()) == 2)
        processes = site.processes()
        for path, body in _switches():
            refused = site.ask("POST", path, body)
            assert refused.status_code == 409, (path, refused.text)
            assert LINE in refused.text, path
        assert site.said() == {each: {"model 1.1.0"} for each in processes}
        alone, memory = site.status()["processes"]["warnings"]
        assert ", ".join(processes) in alone and LINE in alone
        assert "write memory: {workers: 2}" in memory
        eventually(lambda: "memory.workers is 1, and processes" in site.output())
        assert site.output().count("nothing is switched: ") == len(list(_switches()))
        assert site.output().count("do not follow each other") == 1, "once, and by one of them"


def test_with_the_line_of_a_cluster_and_memory_for_two_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0", "1.1.0")
    cluster = "    cluster: {group: shop, heartbeat: 0.2s, poll: 0.05s}\n"
    service.write(CONFIGURATION.replace("10MB", "10MB, workers: 2") + cluster)
    with band(service, 2) as site:
        eventually(lambda: len(site.processes()) == 2)
        eventually(lambda: site.status()["ready"] and not site.status()["behind"])
        eventually(lambda: len(site.status()["cluster"]["members"]) == 2)
        assert site.status()["processes"]["warnings"] == []
        versions = {"model": "1.0.0", "tokenizer": "1.0.0"}
        switched = site.ask("POST", "/promote", {"versions": versions, "reason": "older"})
        assert switched.status_code == 200, switched.text


def test_one_worker_whose_parent_holds_the_port_switches(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0", "1.1.0")
    service.write(CONFIGURATION)
    with band(service, 1) as site:
        eventually(lambda: len(site.processes()) == 1)
        assert site.status()["processes"]["warnings"] == []
        versions = {"model": "1.0.0", "tokenizer": "1.0.0"}
        switched = site.ask("POST", "/promote", {"versions": versions, "reason": "older"})
        assert switched.status_code == 200, switched.text
        assert site.ask("POST", "/rollback", {"reason": "newer"}).status_code == 200


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[tuple[Processes, Path, socket.socket]]:
    """One process, and the socket of another that is silent."""
    here = Processes(tmp_path, lambda: b"", is_beside=lambda process: True)
    here.start()
    (own,) = tmp_path.iterdir()
    other = tmp_path / f"{own.name.split('-')[0]}-1-0.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(other))
        silent.listen()
        yield here, other, silent
    here.close()


def test_one_that_is_silent_keeps_nobody_from_going_back(
    beside: tuple[Processes, Path, socket.socket],
) -> None:
    siblings = Siblings(beside[0], follows=False, workers=2)
    siblings.demand_none(even_silent=False)
    with pytest.raises(Conflict, match=f"process 1 at the same port as {os.getpid()} would not follow"):
        siblings.demand_none(even_silent=True)
    Siblings(beside[0], follows=True, workers=2).demand_none(even_silent=True)


def test_one_that_leaves_is_given_the_moment_and_warned_of_by_nobody(
    beside: tuple[Processes, Path, socket.socket], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings_room, "LEAVING_SECONDS", 60.0)  # a busy machine may take long to let it leave
    here, other, silent = beside
    siblings = Siblings(here, follows=False, workers=1)
    siblings.look()
    asked = threading.Event()

    def leave() -> None:
        silent.accept()[0].close()  # it was found, and asked
        silent.close()
        other.unlink()
        asked.set()

    silent.settimeout(30)
    silent.accept()[0].close()  # the look's
    thread = threading.Thread(target=leave)
    thread.start()
    with caplog.at_level(logging.WARNING):
        siblings.demand_none(even_silent=True)
        siblings.look()
    thread.join()
    assert asked.is_set()
    assert not [each for each in caplog.records if each.name.startswith("modelhost.http")]
