"""Two at once: deployments, rollbacks and aborts that meet, and requests that are under way when traffic moves."""

from __future__ import annotations

import hashlib
import http.client
import signal
import threading
import time
from typing import Any

import pytest

from tests.support.faults import (
    FAST,
    await_row,
    containers,
    deployed,
    files,
    kill,
    last_deployment,
    nothing_left_behind,
    rows,
    served,
    two_releases,
)
from tests.support.site import Site

pytestmark = pytest.mark.docker

LONG = {"rollout": {"observe": {"for": "90s", "min_requests": 5}}}
SLOW_HOOK = {"hooks": {"before_switch": "sleep 30"}}


def test_a_second_deployment_is_told_who_holds_the_lock_and_changes_nothing(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=LONG)
    with served(site):
        at = last_deployment(site)
        first = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", first)
        now = containers(site)
        second = site.deploy("v1.2.0", expect=4)
        assert "deploy v1.3.0" in second.err and f"pid {first.pid}" in second.err
        assert "release rollback" in second.err  # what does not wait
        assert containers(site) == now
        assert site.run("prune", expect=4).code == 4
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=120)
    assert first.returncode == 5


def test_a_rollback_does_not_wait_for_an_observation_and_ends_it(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=LONG)
    known, images = files(site), site.images()
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", process)
        back = site.run("rollback", "--json").document
        assert back["outcome"] == "rolled back" and back["data"]["warm"]
        assert str(site.live).startswith("v1.1.0-")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 6, err
        assert ("v1.1.0" in err and "took over" in err) or "moved by somebody else" in err
        nothing_left_behind(site, known, images, image=":v1.3.0-")
    assert [name for name in site.containers() if "v1.3.0" in name] == []
    assert "already rolled back" in site.run("rollback").out
    found = rows(site, "SELECT standing FROM releases WHERE name LIKE 'v1.3.0%'")
    assert found == [("withdrawn",)]


def test_a_rollback_while_a_candidate_is_under_test_takes_live_back_and_ends_the_run(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=SLOW_HOOK | {"container": {"stop_timeout": "2s"}})
    known, images = files(site), site.images()
    with served(site):
        for step in ("start", "quality", "before_switch"):
            at = last_deployment(site)
            process = site.start("deploy", "v1.3.0")
            await_row(site, at, step, "started", process)
            ran = site.run("rollback")
            assert "v1.0.0" in ran.out, ran.err
            _, err = process.communicate(timeout=120)
            assert process.returncode == 6, err
            assert str(site.live).startswith("v1.0.0-")
            nothing_left_behind(site, known, images, image=":v1.3.0-")
            assert [name for name in site.containers() if "v1.3.0" in name] == []
            deployed(site, "v1.1.0")


def test_two_rollbacks_at_once_are_one_rollback(site: Site) -> None:
    two_releases(site)
    deployed(site, "v1.2.0")
    with served(site):
        pair = [site.start("rollback") for _ in range(2)]
        told = [process.communicate(timeout=120)[0] for process in pair]
        assert [process.returncode for process in pair] == [0, 0], told
    assert str(site.live).startswith("v1.1.0-"), "the second went further than the first"
    assert sum("already rolled back" in text for text in told) == 1, told


def test_a_rollback_while_a_cold_one_is_under_way_names_it_and_changes_nothing(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST | {"standby": "cold"}, ready_after=20)
    site.repository.release("v1.1.0")
    deployed(site, "v1.0.0")
    deployed(site, "v1.1.0")
    with served(site):
        at = last_deployment(site)
        first = site.start("rollback")
        site.wait_for(60, lambda: last_deployment(site) != at, "the rollback began")
        second = site.run("rollback", expect=4)
        assert "rollback lock" in second.err and f"pid {first.pid}" in second.err
        third = site.deploy("v1.1.0", "--again", expect=4)
        assert "rollback" in third.err
        _, err = first.communicate(timeout=120)
        assert first.returncode == 0, err
    assert str(site.live).startswith("v1.0.0-")


def test_abort_ends_a_run_in_each_phase_and_does_nothing_where_none_is_under_way(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=LONG)
    before, known, images = containers(site), files(site), site.images()
    nothing = site.run("abort")
    assert "no deployment is under way" in nothing.out
    with served(site):
        for step in ("obtain", "start", "quality", "observe"):
            at = last_deployment(site)
            process = site.start("deploy", "v1.3.0")
            await_row(site, at, step, "started", process)
            told = site.run("abort", "--reason", "wrong day")
            assert "v1.3.0" in told.out and "aborted" in told.out and "v1.1.0" in told.out
            _, err = process.communicate(timeout=120)
            assert process.returncode == 6, (step, err)
            assert str(site.live).startswith("v1.1.0-")
            assert containers(site) == before, step
            nothing_left_behind(site, known, images, image=":v1.3.0-")


def test_abort_of_a_run_whose_process_died_settles_it(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=LONG)
    before = containers(site)
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", process)
        kill(process)
        told = site.run("abort")
        assert "traffic is back" in told.out
        assert str(site.live).startswith("v1.1.0-")
        assert containers(site) == before


def test_an_upload_a_slow_answer_and_a_stream_that_are_under_way_finish_on_the_release_that_began_them(
    site: Site,
) -> None:
    two_releases(site)
    manifest = {"drain": "8s", "rollout": {"observe": {"for": "60s", "min_requests": 5}}}
    site.repository.release("v1.3.0", manifest=manifest)
    found: dict[str, Any] = {}
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", process)
        began = [threading.Event() for _ in range(3)]
        threads = [
            threading.Thread(target=_upload, args=(site, began[0], found)),
            threading.Thread(target=_slow, args=(site, began[1], found)),
            threading.Thread(target=_stream, args=(site, began[2], found)),
        ]
        for thread in threads:
            thread.start()
        for event in began:
            assert event.wait(60)
        time.sleep(0.3)
        site.run("rollback")
        assert str(site.live).startswith("v1.1.0-")
        for thread in threads:
            thread.join(120)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 6, err
    assert found["upload"] == (200, hashlib.sha256(b"x" * 40 * 65536).hexdigest())
    assert found["slow"][0] == 200 and b"1.3.0" in found["slow"][1]
    assert found["stream"].count(b"1.3.0") == 40


def _connection(site: Site) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(site.repository.manifest["proxy"]["listen"]), timeout=60)


def _upload(site: Site, began: threading.Event, found: dict[str, Any]) -> None:
    """2.6 MB in pieces over three seconds; nginx hands it on once it is whole."""
    import json

    connection = _connection(site)
    connection.putrequest("POST", "/upload")
    connection.putheader("Content-Length", str(40 * 65536))
    connection.endheaders()
    for number in range(40):
        connection.send(b"x" * 65536)
        if number == 2:
            began.set()
        time.sleep(0.07)
    answer = connection.getresponse()
    found["upload"] = (answer.status, json.loads(answer.read())["sha256"])


def _slow(site: Site, began: threading.Event, found: dict[str, Any]) -> None:
    connection = _connection(site)
    connection.request("GET", "/slow?4")
    began.set()
    answer = connection.getresponse()
    found["slow"] = (answer.status, answer.read())


def _stream(site: Site, began: threading.Event, found: dict[str, Any]) -> None:
    connection = _connection(site)
    connection.request("GET", "/stream?40")
    answer = connection.getresponse()
    first = answer.read(10)
    began.set()
    found["stream"] = first + answer.read()
