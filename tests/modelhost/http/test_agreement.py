"""A reload by the API reaches every process behind the port, or none."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from modelhost.errors import Unavailable
from modelhost.http.agreement import WORD, Agreement
from modelhost.http.hearing import read_line
from modelhost.http.processes import Processes
from tests.modelhost.host.service import PAIR, Service
from tests.modelhost.http.band import Band, band
from tests.modelhost.http.site import Site
from tests.modelhost.serving.workshop import eventually

CONFIGURATION = PAIR.replace("model: {}", "model: {default: 1.1.0}") + "    http: {tokens: tokens.jsonl}\n"
OLDER = CONFIGURATION.replace("1.1.0", "1.0.0").replace("tokenizer: {}", "tokenizer: {default: 1.0.0}")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Service, Band, list[str]]]:
    """Two workers, of which 1.1.0 serves."""
    service = Service(tmp_path)
    service.pair("1.0.0", "1.1.0")
    service.write(CONFIGURATION)
    with band(service, 2) as site:
        eventually(lambda: len(site.processes()) == 2)
        site.said()  # both serve: one that starts yet reads the file then, and prepares nothing
        yield service, site, site.processes()


def test_it_is_taken_over_by_every_process_and_the_answer_names_them(
    two: tuple[Service, Band, list[str]],
) -> None:
    service, site, processes = two
    service.write(OLDER)

    def reload(number: int) -> requests.Response:
        return site.ask("POST", "/configuration/reload", {"reason": f"older, {number}"})

    for _ in range(2):  # whichever is asked the second time, it has it
        with ThreadPoolExecutor(4) as pool:  # who asks each other at once does not wait for ever
            for taken in pool.map(reload, range(4)):
                assert (taken.status_code, taken.json()["processes"]) == (200, processes), taken.text
                assert taken.json()["generation"] == 2
        assert site.said() == {each: {"model 1.0.0"} for each in processes}
    (folder,) = site.path.glob("state/processes")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}


def test_where_one_cannot_take_it_over_none_does_and_it_is_named(two: tuple[Service, Band, list[str]]) -> None:
    service, site, processes = two
    (site.path / "unable").write_text(processes[0])
    service.write(OLDER)
    for _ in range(6):  # by either of them
        refused = site.ask("POST", "/configuration/reload", {})
        assert refused.status_code == 422, refused.text
        assert "no device is free" in refused.text
    assert site.said() == {each: {"model 1.1.0"} for each in processes}
    assert {site.status()["configuration"]["generation"] for _ in range(12)} == {1}
    (site.path / "unable").unlink()
    assert site.ask("POST", "/configuration/reload", {}).json()["processes"] == processes


def test_one_that_lives_and_is_silent_keeps_all_from_it(two: tuple[Service, Band, list[str]]) -> None:
    service, site, processes = two
    service.write(OLDER)
    os.kill(int(processes[0]), signal.SIGSTOP)
    try:
        refused = site.ask("POST", "/configuration/reload", {})
        assert refused.status_code == 422, refused.text
        assert f"process {processes[0]} lives and does not answer" in refused.text
    finally:
        os.kill(int(processes[0]), signal.SIGCONT)
    assert site.said() == {each: {"model 1.1.0"} for each in processes}


def test_one_that_is_ready_and_hears_nothing_more_leaves_all_as_it_was(site: Site, tmp_path: Path) -> None:
    service = site.service
    service.pair("1.0.0", "1.1.0")
    host = service.open(CONFIGURATION)
    folder = tmp_path / "processes"
    asked = Processes(folder, lambda: b"", hearers={WORD: lambda asker, rest: Agreement(host, asked).hear(asker, rest)})
    asked.start()
    try:
        (path,) = folder.iterdir()
        service.write(OLDER)
        for word, generation in (("", 1), ("commit\n", 2)):
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(30)
                asking.connect(str(path))
                asking.sendall(f"{WORD} {json.dumps({'process': '1', 'who': 'ann', 'why': ''})}\n".encode())
                assert [read_line(asking), read_line(asking)] == ["hearing", "ready"]
                assert host.configuration.generation == 1, "nobody has said so yet"
                asking.sendall(word.encode())
                asking.shutdown(socket.SHUT_WR)
                said = read_line(asking)
            assert said.startswith("done" if word else "refused"), said
            assert host.configuration.generation == generation
        assert host.serving.current().versions["model"] == "1.0.0"
    finally:
        asked.close()


def test_a_process_that_is_told_to_end_waits_for_nobody_and_calls_the_reload_off(
    two: tuple[Service, Band, list[str]],
) -> None:
    service, site, processes = two
    slow, waits = site.path / "slow", site.path / "waits"
    slow.touch()  # who is asked loads first, and then waits for the other
    service.write(OLDER)
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(site.ask, "POST", "/configuration/reload", {})
        eventually(waits.exists)
        ends, loads = slow.read_text(), waits.read_text()
        assert {ends, loads} == set(processes)
        os.kill(int(ends), signal.SIGTERM)
        refused = asked.result(60)
        assert refused.status_code == 422, refused.text
        assert "the process that was asked was told to end meanwhile" in refused.json()["error"]
        eventually(lambda: not _lives(int(ends)))
        slow.unlink()
    eventually(lambda: loads in site.processes() and len(site.processes()) == 2)
    assert site.said()[loads] == {"model 1.1.0"}


@pytest.mark.parametrize(("last", "why"), [("", "it ended"), ('refused "a full disk"\n', "a full disk")])
def test_one_that_fails_between_the_two_steps_is_named_and_so_is_who_has_it(
    site: Site, tmp_path: Path, last: str, why: str
) -> None:
    service = site.service
    service.pair("1.0.0", "1.1.0")
    host = service.open(CONFIGURATION)
    here = Processes(tmp_path / "processes", lambda: b"", is_beside=lambda process: True)
    here.start()
    (own,) = here.folder.iterdir()
    heard: list[str] = []

    def answer(listening: socket.socket) -> None:
        asker, _ = listening.accept()
        with asker:
            heard.append(read_line(asker).split(" ")[0])
            asker.sendall(b"hearing\nready\n")
            heard.append(read_line(asker))
            asker.sendall(last.encode())

    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(own.with_name(f"{own.name.split('-')[0]}-1-0.sock")))
        other.listen()
        thread = threading.Thread(target=answer, args=(other,))
        thread.start()
        service.write(OLDER)
        with pytest.raises(Unavailable, match=f"taken over by {os.getpid()}, and not by all: process 1: {why}"):
            Agreement(host, here).reload("ann", "older")
        thread.join()
    here.close()
    assert heard == [WORD, "commit"]
    assert host.serving.current().versions["model"] == "1.0.0"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
