"""SIGTERM, SIGINT and SIGHUP: exit code 5, traffic back at once where it had moved, everything else undone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.faults import (
    await_row,
    containers,
    files,
    last_deployment,
    nothing_left_behind,
    rows,
    served,
    signalled,
    two_releases,
)
from tests.support.site import Site

pytestmark = pytest.mark.docker

LONG = {"rollout": {"observe": {"for": "60s", "min_requests": 5}}}


def test_a_signal_before_the_switch_undoes_everything(site: Site) -> None:
    two_releases(site)
    before, known, images = containers(site), files(site), site.images()
    signals = [
        ("obtain", signal.SIGTERM),
        ("before_start", signal.SIGINT),
        ("start", signal.SIGTERM),
        ("health", signal.SIGHUP),
        ("quality", signal.SIGINT),
    ]
    with served(site):
        for step, number in signals:
            code, _, err = signalled(site, step, number, "deploy", "v1.2.0")
            assert code == 5, err
            assert f"interrupted by {number.name}" in err
            assert containers(site) == before, err
            nothing_left_behind(site, known, images, image=":v1.2.0-")
    assert str(site.live).startswith("v1.1.0-")
    states = rows(site, "SELECT state FROM deployments WHERE release LIKE 'v1.2.0%'")
    assert states == [("undone",)] * len(signals)


def test_a_signal_after_the_switch_brings_traffic_back_and_does_not_wait_for_the_observation(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=LONG)
    before, known, images = containers(site), files(site), site.images()
    flag = site.state / site.scope / "traffic" / "green"
    with served(site) as load:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            at = last_deployment(site)
            process = site.start("deploy", "v1.3.0")
            await_row(site, at, "observe", "started", process)
            serving, sent = flag.readlink().name, load.sent
            site.wait_for(60, lambda sent=sent: load.sent > sent + 20, "it serves")
            process.send_signal(number)
            site.wait_for(30, lambda serving=serving: flag.readlink().name != serving, "traffic is back")
            _, err = process.communicate(timeout=120)
            assert process.returncode == 5, err
            assert "traffic is back" in err
            assert containers(site) == before
            nothing_left_behind(site, known, images, image=":v1.3.0-")
    assert load.result.by_answer.get("1.3.0", 0) > 0, "the new release never served"


def test_a_terminal_that_is_gone_does_not_keep_it_from_undoing(site: Site) -> None:
    """SIGHUP comes with a stderr that nobody reads any more."""
    two_releases(site)
    before = containers(site)
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.2.0")
        await_row(site, at, "start", "done", process)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(120) != 0
        assert containers(site) == before
        assert rows(site, "SELECT state FROM deployments ORDER BY number DESC LIMIT 1") == [("undone",)]


def test_an_impatient_second_signal_disturbs_no_undo(site: Site) -> None:
    two_releases(site)
    before, known, images = containers(site), files(site), site.images()
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.2.0")
        await_row(site, at, "start", "done", process)
        for _ in range(5):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 5, err
        assert containers(site) == before
        nothing_left_behind(site, known, images, image=":v1.2.0-")


def test_a_signal_after_the_commit_ends_nothing_that_was_won(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest={"standby": "cold", "drain": "20s"})
    with served(site):
        code, _, err = signalled(site, "retire", signal.SIGTERM, "deploy", "v1.3.0")
        assert code in (0, 7), err
        assert str(site.live).startswith("v1.3.0-")
        assert "the next command finishes it" in err


def test_a_signal_in_a_hook_ends_what_the_hook_had_started(site: Site) -> None:
    two_releases(site)
    mark = f"31{os.getpid() % 100000}.25"
    site.repository.release("v1.3.0", manifest={"hooks": {"before_switch": f"sleep {mark}"}})
    with served(site):
        code, _, err = signalled(site, "before_switch", signal.SIGTERM, "deploy", "v1.3.0")
    assert code == 5, err
    site.wait_for(60, lambda: not _runs(f"sleep\0{mark}\0"), "it has ended")  # what is killed takes a moment to die


def _runs(command: str) -> bool:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with Path(f"/proc/{entry.name}/cmdline").open(encoding="utf-8", errors="replace") as file:
                    if file.read() == command:
                        return True
            except OSError:
                continue
    return False


def test_a_signal_to_a_rollback_leaves_traffic_on_one_side_or_the_other_and_says_which(site: Site) -> None:
    two_releases(site)
    pauses = ((0.0, signal.SIGTERM), (0.02, signal.SIGINT), (0.05, signal.SIGTERM), (0.1, signal.SIGINT))
    with served(site):
        for pause, number in pauses:
            at = last_deployment(site)
            process = site.start("rollback", "--to", "v1.0.0")
            site.wait_for(60, lambda at=at: last_deployment(site) != at, "the rollback began")
            time.sleep(pause)
            process.send_signal(number)
            _, err = process.communicate(timeout=120)
            states = rows(site, "SELECT state FROM deployments ORDER BY number DESC LIMIT 1")
            if process.returncode == 5:
                assert str(site.live).startswith("v1.1.0-") and states == [("undone",)], err
            else:  # done already; a signal to what was left to print changes no more
                assert str(site.live).startswith("v1.0.0-"), err
            site.run("rollback", "--to", "v1.1.0")
