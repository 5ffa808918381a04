"""SIGKILL of a rollback at every instant, warm and cold: live serves throughout, the next command finishes it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from typing import Any

import pytest

from tests.support.faults import (
    FAST,
    await_row,
    await_started,
    deploy_killed_at,
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

# How many instants to try; a long run sets this to some hundreds.
INSTANTS = int(os.environ.get("RELEASE_TEST_INSTANTS", "4"))
SEED = int(os.environ.get("RELEASE_TEST_SEED", "20261121"))


def test_a_warm_rollback_killed_at_any_instant_is_finished_forward_by_the_next_command(site: Site) -> None:
    two_releases(site)
    known, images = files(site), site.images()
    chance = random.Random(SEED)
    with served(site):
        for _ in range(INSTANTS):
            before = last_deployment(site)
            process = site.start("rollback", "--to", "v1.0.0")
            await_started(site, before, process)
            time.sleep(chance.uniform(0.0, 0.12))
            kill(process)
            site.run("doctor", "--mend", expect=None)
            assert str(site.live).startswith("v1.0.0-")
            nothing_left_behind(site, known, images)
            site.run("rollback", "--to", "v1.1.0")
            assert str(site.live).startswith("v1.1.0-")
    assert len(site.containers()) == 2


def test_a_cold_rollback_killed_on_its_way_is_finished_forward_or_by_repeating_it(site: Site) -> None:
    two_releases(site)
    known, images = files(site), site.images()
    chance = random.Random(SEED + 1)
    with served(site):
        for number in range(3):
            standby = next(name for name in site.containers() if "v1.0.0" in name)
            subprocess.run(["docker", "rm", "-f", standby], check=True, capture_output=True)
            process = begun(site)
            time.sleep(chance.uniform(0.0, 0.8))
            kill(process)
            if number % 2:
                site.run("doctor", "--mend", expect=None)
            else:
                site.run("rollback", "--to", "v1.0.0")
            assert str(site.live).startswith("v1.0.0-")
            nothing_left_behind(site, known, images)
            site.run("rollback", "--to", "v1.1.0")
    assert len(site.containers()) == 2, site.containers()


def test_a_container_that_a_dead_run_had_asked_for_does_not_take_the_port_of_a_cold_rollback(site: Site) -> None:
    """The engine goes on starting what it was asked for after the one who asked is gone."""
    two_releases(site)
    standby = next(name for name in site.containers() if "v1.0.0" in name)
    facts = json.loads(subprocess.run(["docker", "inspect", standby], check=True, capture_output=True).stdout)[0]
    subprocess.run(["docker", "rm", "-f", standby], check=True, capture_output=True)
    with served(site):
        process = begun(site)
        kill(process)
        dead = last_deployment(site)
        late = created(dead, facts)
        process = begun(site)
        subprocess.run(["docker", "start", late], check=False, capture_output=True)
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, f"{out}\n{err}"
    assert str(site.live).startswith("v1.0.0-")
    assert late not in site.containers()
    assert len(site.containers()) == 2, site.containers()


def begun(site: Site) -> subprocess.Popen[str]:
    """A rollback to v1.0.0 whose row is in the ledger."""
    before = last_deployment(site)
    process = site.start("rollback", "--to", "v1.0.0")
    await_started(site, before, process)
    return process


def created(deployment: str, standby: dict[str, Any]) -> str:
    """Another container like the standby, on the same port, that was not started; its name."""
    (inside, (outside,)), *_ = standby["HostConfig"]["PortBindings"].items()
    labels = standby["Config"]["Labels"] | {"release.deployment": deployment}
    name = f"{standby['Name'].lstrip('/')}-late"
    command = ["docker", "create", "--name", name, "-p", f"127.0.0.1:{outside['HostPort']}:{inside}"]
    for label, value in labels.items():
        command += ["--label", f"{label}={value}"]
    subprocess.run([*command, standby["Image"]], check=True, capture_output=True)
    return name


def test_a_rollback_that_died_and_cannot_be_finished_is_closed_and_blocks_nobody(site: Site) -> None:
    two_releases(site)
    standby = next(name for name in site.containers() if "v1.0.0" in name)
    subprocess.run(["docker", "rm", "-f", standby], check=True, capture_output=True)
    with served(site):
        process = begun(site)
        kill(process)
        site.wait_for(60, lambda: not remove_all(site, "v1.0.0"), "the release is gone")
        told = site.deploy("v1.2.0", expect=None)
        assert told.code in (0, 7), told.err
        assert "cannot be finished" in told.err and "image is gone" in told.err
    assert str(site.live).startswith("v1.2.0-")


def remove_all(site: Site, release: str) -> list[str]:
    """Containers first; gives what there was. The engine may still start what the dead run had asked for."""
    found = {"rm": site.containers(), "rmi": site.images()}
    names = [(how, name) for how, known in found.items() for name in known if release in name]
    for how, name in names:
        subprocess.run(["docker", how, "-f", name], check=False, capture_output=True)
    return [name for _, name in names]


def test_killed_at_random_instants_of_a_deployment_nothing_is_lost_and_nothing_left(site: Site) -> None:
    two_releases(site)
    known, images = files(site), site.images()
    chance = random.Random(SEED + 2)
    began = time.monotonic()
    deployed(site, "v1.2.0")
    whole = time.monotonic() - began
    site.run("rollback", "--to", "v1.1.0")
    with served(site):
        for _ in range(INSTANTS):
            process = site.start("deploy", "v1.2.0")
            time.sleep(chance.uniform(0.1, whole))
            kill(process)
            command = chance.choice([("doctor", "--mend"), ("rollback",), ("rollback", "--to", "v1.1.0")])
            site.run(*command, expect=None)
            site.run("doctor", "--mend", expect=None)
            assert site.live is not None
            nothing_left_behind(site, known, images, image=":v1.2.0-")
            site.run("rollback", "--to", "v1.1.0")
            assert str(site.live).startswith("v1.1.0-")
            assert len(site.containers()) <= 2, site.containers()


def test_the_first_deployment_ever_killed_leaves_nothing(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST)
    for step in ("resolve", "obtain", "health"):
        deploy_killed_at(site, "v1.0.0", step, "started", delay=0.2)
        site.run("doctor", "--mend", expect=None)
        assert site.containers() == {}
        assert rows(site, "SELECT id FROM deployments WHERE state = 'running'") == []
        assert [image for image in site.images() if "<none>" in image] == []
        assert site.live is None
    deployed(site, "v1.0.0")
    assert str(site.live).startswith("v1.0.0-")


def test_killed_while_its_image_is_built_no_layer_is_left(site: Site) -> None:
    two_releases(site)
    dockerfile = (site.repository.path / "Dockerfile").read_text()
    site.repository.write("Dockerfile", dockerfile + "RUN sleep 1 && echo slow > /slow\nRUN sleep 20\n")
    site.repository.release("v1.3.0")
    images = site.images()
    with served(site):
        before = last_deployment(site)
        process = site.start("deploy", "v1.3.0")
        await_row(site, before, "obtain", "started", process)
        time.sleep(3.0)  # in the second of the two
        kill(process)
        site.run("doctor", "--mend", expect=None)
    assert site.images() == images
    assert len(site.containers()) == 2
