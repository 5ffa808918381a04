"""After the switch: candidates that die or answer errors go back by themselves, unless going back would help nobody."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import FAST, await_row, containers, deployed, last_deployment, rows, served, two_releases
from tests.support.site import Site, make_site

pytestmark = pytest.mark.docker

WATCH: dict[str, Any] = {"rollout": {"observe": {"for": "20s", "min_requests": 5, "max_error_rate": "2%"}}}
BLIND: dict[str, Any] = {"checks": {"quality": None, "latency": None, "integration": None, "warmup": {"requests": 0}}}


def test_a_candidate_that_dies_in_observation_goes_back_at_once_and_is_rejected_until_accepted(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=WATCH | BLIND, die_after_requests=150)
    before = containers(site)
    with site.load() as load:
        ran = site.deploy("v1.3.0", expect=1)
    assert "the guard tripped" in ran.err and "traffic is back" in ran.err, ran.err
    assert str(site.live).startswith("v1.1.0-")
    assert containers(site) == before
    assert load.result is not None
    lost = load.result.failed
    assert lost < load.result.requests / 3, "traffic stayed on what was dead"
    refused = site.run("rollback", "--to", "v1.3.0", expect=1)
    assert "rejected" in refused.err and "release accept" in refused.err
    assert "taken back already" in site.run("rollback").out
    site.run("accept", "v1.3.0", "--reason", "it was the test that killed it")
    assert rows(site, "SELECT standing FROM releases WHERE name LIKE 'v1.3.0%'") == [("good",)]


def test_errors_that_the_gates_did_not_see_trip_the_guard(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=WATCH | BLIND, error_share=0.3)
    with site.load() as load:
        ran = site.deploy("v1.3.0", expect=1)
    assert "the guard tripped" in ran.err and "error" in ran.err
    assert str(site.live).startswith("v1.1.0-")
    assert load.result is not None and load.result.failed < load.result.requests / 2


def test_the_guard_does_not_go_back_to_a_standby_that_is_dead_too(site: Site) -> None:
    two_releases(site)
    watch = {"rollout": {"observe": {"for": "20s", "min_requests": 5, "max_error_rate": "2%"}}}
    site.repository.release("v1.3.0", manifest=watch | BLIND, error_share=0.3)
    at, old = last_deployment(site), next(name for name in site.containers() if "v1.1.0" in name)
    process = site.start("deploy", "v1.3.0")
    await_row(site, at, "switch", "done", process)
    subprocess.run(["docker", "kill", old], check=True, capture_output=True)
    with site.load():  # from here on there is something that the guard can trip over
        _, err = process.communicate(timeout=120)
    assert process.returncode == 7, err
    assert "traffic stays" in err and "v1.1.0" in err
    assert str(site.live).startswith("v1.3.0-")
    assert rows(site, "SELECT state FROM deployments ORDER BY number DESC LIMIT 1") == [("unobserved",)]


def test_an_interruption_does_not_go_back_to_a_release_that_is_dead(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest={"rollout": {"observe": {"for": "60s", "min_requests": 5}}})
    at = last_deployment(site)
    with served(site):
        process = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", process)
        old = next(name for name in site.containers() if "v1.1.0" in name)
        subprocess.run(["docker", "kill", old], check=True, capture_output=True)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 5, err
        assert "traffic stays on v1.3.0" in err and "release rollback" in err
        assert str(site.live).startswith("v1.3.0-")
        back = site.run("rollback")
        assert "v1.1.0" in back.out and "cold" in back.err
        site.run("doctor", "--mend", expect=None)
    assert str(site.live).startswith("v1.1.0-")
    assert [name for name in site.containers() if "v1.3.0" in name] == []


def test_too_little_traffic_and_no_benchmark_is_unobserved(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST | BLIND)
    asked = {"method": "POST", "path": "/translate", "json": {"text": "{source}"}}  # and no cases to take it from
    few = {"rollout": {"observe": {"for": "1s", "min_requests": 50}}, "checks": {"warmup": {"request": asked}}}
    site.repository.release("v1.1.0", manifest=few)
    deployed(site, "v1.0.0")
    ran = site.deploy("v1.1.0", expect=None)
    assert ran.code == 7, ran.err
    assert "unobserved" in ran.out
    assert str(site.live).startswith("v1.1.0-")
    back = site.run("rollback")
    assert "v1.0.0" in back.out


@pytest.fixture
def well_measured(tmp_path: Path, base: str) -> Iterator[Site]:
    """A site with a benchmark set that can tell two BLEU."""
    site = make_site(tmp_path, cases=800)
    yield site
    site.remove()
    assert site.containers() == {} and site.images() == []


def test_a_release_four_bleu_worse_is_refused_and_an_identical_one_passes(well_measured: Site) -> None:
    site = well_measured
    site.repository.release("v1.0.0", manifest=FAST | {"checks": {"latency": None, "quality": {"resamples": 300}}})
    site.repository.release("v1.1.0", noise=0.016)
    site.repository.release("v1.2.0", seed=5)
    deployed(site, "v1.0.0")
    with served(site):
        worse = site.deploy("v1.1.0", expect=1)
        assert "quality refused it" in worse.err and "BLEU" in worse.err
        same = site.deploy("v1.2.0", expect=None)
        assert same.code in (0, 7), same.err
    assert str(site.live).startswith("v1.2.0-")


def test_an_observation_whose_process_died_is_replayed_and_goes_back_where_the_log_says_so(site: Site) -> None:
    two_releases(site)
    site.repository.release("v1.3.0", manifest=WATCH | BLIND, error_share=0.5)
    at = last_deployment(site)
    process = site.start("deploy", "v1.3.0")
    await_row(site, at, "switch", "done", process)
    process.kill()
    process.communicate()
    with site.load() as load:
        site.wait_for(60, lambda: load.sent > 200, "users have met errors")
    told = site.run("doctor", "--mend", expect=None).out
    assert "had lost its process in observation" in told and "traffic went back" in told
    assert str(site.live).startswith("v1.1.0-")
    assert rows(site, "SELECT standing FROM releases WHERE name LIKE 'v1.3.0%'") == [("rejected",)]
