"""SIGKILL of a deployment at every step: live serves throughout, the next command settles it and leaves nothing."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.request

import pytest

from tests.support.faults import (
    FAST,
    STEPS,
    await_row,
    containers,
    deploy_killed_at,
    files,
    kill,
    last_deployment,
    nothing_left_behind,
    served,
    two_releases,
)
from tests.support.site import Site

pytestmark = pytest.mark.docker

# Not the step `nginx`: the switch follows at once. tests/rollout/test_nginx.py kills between the two.
BEFORE_SWITCH = STEPS[: STEPS.index("nginx")]
# At the start of every step, and once the effects are there that another process has to find again.
KILLS = [(step, "started") for step in BEFORE_SWITCH] + [("resolve", "done"), ("obtain", "done"), ("start", "done")]


@pytest.mark.parametrize("kills", [KILLS[0::3], KILLS[1::3], KILLS[2::3]], ids=["first", "second", "third"])
def test_killed_before_the_switch_it_is_undone_by_the_next_command_and_live_serves_throughout(
    site: Site, kills: list[tuple[str, str]]
) -> None:
    two_releases(site)
    before, known, images = containers(site), files(site), site.images()
    with served(site):
        for number, (step, state) in enumerate(kills):
            run = deploy_killed_at(
                site, "v1.2.0", step, state, delay=0.0 if step in ("push", "latency") else 0.05 * (number % 3)
            )
            assert str(site.live).startswith("v1.1.0-")
            told = site.run("doctor", expect=None).out
            assert f"{run} of v1.2.0" in told and "lost its process" in told, told
            mended = site.run("doctor", "--mend", expect=None).out
            assert f"{run}: the deployment of v1.2.0" in mended and "it is undone" in mended, mended
            assert containers(site) == before, (step, state)
            nothing_left_behind(site, known, images, image=":v1.2.0-")


def test_killed_before_the_switch_a_rollback_takes_back_that_one_alone(site: Site) -> None:
    two_releases(site)
    before, known, images = containers(site), files(site), site.images()
    with served(site):
        for step in ("obtain", "start", "quality"):
            deploy_killed_at(site, "v1.2.0", step, "started", delay=0.1)
            told = site.run("rollback")
            assert "unfinished deployment of v1.2.0" in told.out and "v1.1.0" in told.out
            assert str(site.live).startswith("v1.1.0-")
            assert containers(site) == before
            nothing_left_behind(site, known, images, image=":v1.2.0-")


def test_a_standby_that_was_on_its_way_down_when_the_run_died_is_up_again(site: Site) -> None:
    """The engine goes on stopping what it was asked to stop after the one who asked is gone."""
    two_releases(site)
    before, at = containers(site), last_deployment(site)
    standby = f"http://127.0.0.1:{site.repository.manifest['slots']['blue']}"
    process = site.start("deploy", "v1.2.0")
    await_row(site, at, "before_start", "started", process)
    user = threading.Thread(target=slow_answer, args=(standby,))  # holds it up
    user.start()
    await_row(site, at, "start", "started", process)
    time.sleep(0.3)
    kill(process)
    site.run("rollback")
    user.join()
    time.sleep(1)  # where it was taken for one that had stayed up, it would go down now
    assert containers(site) == before


def slow_answer(url: str) -> None:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/slow?4.5", timeout=60) as answer:
        answer.read()


def test_killed_before_the_switch_the_next_deployment_settles_it_and_goes_its_own_way(site: Site) -> None:
    two_releases(site)
    known, images = files(site), site.images()
    with served(site):
        run = deploy_killed_at(site, "v1.2.0", "latency", "started")
        again = site.deploy("v1.2.0", expect=None)
        assert again.code in (0, 7), again.err
        assert run in again.err and "it is undone" in again.err
    assert str(site.live).startswith("v1.2.0-")
    nothing_left_behind(site, known, images, image=":v1.2.0-")


@pytest.mark.parametrize("command", ["doctor", "deploy", "rollback"])
def test_killed_from_the_switch_on_it_stays_live_or_goes_back_as_one_asks(site: Site, command: str) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=FAST)
    known, images = files(site), site.images()
    with served(site):
        kills = [("switch", "started"), ("switch", "done"), ("observe", "started"), ("observe", "done")]
        for step, state in kills if command == "rollback" else kills[1:3]:
            deploy_killed_at(site, "v1.2.0", step, state)
            if command == "rollback":
                site.run("rollback")
                assert str(site.live).startswith("v1.1.0-"), (step, state)
            else:
                _settled(site, command)
                site.run("rollback", "--to", "v1.1.0")
            nothing_left_behind(site, known, images, image=":v1.")
    assert len(site.containers()) <= 2


def _settled(site: Site, command: str) -> None:
    """It is live where its switch was made, and as it was where it was not; either way the next one says so."""
    if command == "doctor":
        told = site.run("doctor", "--mend", expect=None).out
        assert "had lost its process" in told, told
        return
    ran = site.deploy("v1.3.0", expect=None)
    assert ran.code in (0, 7), ran.err
    assert "had lost its process" in ran.err
    assert str(site.live).startswith("v1.3.0-")


def test_killed_after_the_commit_it_is_finished_forward(site: Site) -> None:
    two_releases(site)
    known, images = files(site), site.images()
    with served(site):
        for step, state in (("commit", "started"), ("after_commit", "started"), ("retire", "started")):
            run = deploy_killed_at(site, "v1.2.0", step, state)
            assert str(site.live).startswith("v1.2.0-")
            told = site.run("doctor", "--mend", expect=None).out
            assert run in told or step == "retire", told  # it may be over before the signal comes
            assert str(site.live).startswith("v1.2.0-")
            site.run("rollback", "--to", "v1.1.0")
            nothing_left_behind(site, known, images, image=":v1.2.0-")
    assert len(site.containers()) == 2
