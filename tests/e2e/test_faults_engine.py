"""The engine is stopped, killed and rebooted: one of the test's own, so that nobody else's containers go with it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.proxy import systemd
from tests.support.dockerd import OwnDockerd
from tests.support.faults import await_row, last_deployment, rows, two_releases
from tests.support.site import Site, make_site

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(base: str) -> Iterator[OwnDockerd]:
    engine = OwnDockerd(Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp")))
    try:
        engine.start()
        engine.take(base)
        yield engine
    finally:
        engine.remove()


@pytest.fixture
def own(tmp_path: Path, engine: OwnDockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site on that engine; DOCKER_HOST says so to the command and to this test alike."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    site = make_site(tmp_path, cases=40)
    yield site
    site.remove()
    assert site.containers() == {}


def version(site: Site) -> bytes:
    with urllib.request.urlopen(site.url + "/version", timeout=30) as answer:
        return bytes(answer.read())


def answers(site: Site) -> bool:
    try:
        return b"version" in version(site)
    except OSError:
        return False


def test_an_engine_that_is_away_is_named_and_the_same_release_serves_when_it_is_back(
    own: Site, engine: OwnDockerd
) -> None:
    two_releases(own)
    engine.stop()
    for command in (("deploy", "v1.2.0"), ("rollback",)):
        ran = own.run(*command, expect=3)
        assert "Docker Engine" in ran.err and "start" in ran.err, ran.err
    status = own.run("status", expect=3).out
    assert "Docker Engine" in status and "v1.1.0" in status and "rollback  to v1.0.0" in status, status
    looked = own.run("doctor", expect=3)
    assert "Docker Engine" in looked.out
    engine.start()
    own.wait_for(60, lambda: answers(own), "the release serves again")
    assert b"1.1.0" in version(own)
    assert str(own.live).startswith("v1.1.0-")
    back = own.run("rollback")
    assert "v1.0.0" in back.out


def test_a_rollback_to_a_warm_standby_does_not_wait_for_an_engine_that_hangs(own: Site, engine: OwnDockerd) -> None:
    two_releases(own)
    with engine.hanging():
        ran = own.run("rollback", "--json")
        assert ran.document["outcome"] == "rolled back" and ran.document["data"]["warm"] is True
        assert "the engine does not answer" in ran.err
        assert b"1.0.0" in version(own)
        again = own.run("rollback")
        assert "already rolled back" in again.out
        assert b"1.0.0" in version(own)
        status = own.run("status", "--json", expect=3).document
        assert status["engine_answers"] is False and str(status["live"]).startswith("v1.0.0-")
    mended = own.run("doctor", "--mend", expect=None).out
    assert "the engine answers again and knows of the rollback" in mended, mended
    live = next(name for name in own.containers() if "v1.0.0" in name)
    policy = engine.docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", live).stdout.strip()
    assert policy == "unless-stopped"
    assert str(own.live).startswith("v1.0.0-")
    while "does not answer" in own.run("rollback", "--to", "v1.1.0").err:  # it was heard again, but not soon enough
        own.run("rollback", "--to", "v1.0.0")
    assert b"1.1.0" in version(own)


def test_without_engine_and_standby_a_rollback_changes_nothing(own: Site, engine: OwnDockerd) -> None:
    two_releases(own)
    standby = next(name for name in own.containers() if "v1.0.0" in name)
    engine.docker("rm", "--force", standby)
    with engine.hanging():
        ran = own.run("rollback", expect=3)
        assert "nothing was changed" in ran.err and "start the Docker Engine" in ran.err
        assert b"1.1.0" in version(own)
    assert "v1.0.0" in own.run("rollback").out


def test_after_a_reboot_the_same_release_serves(own: Site, engine: OwnDockerd) -> None:
    two_releases(own)
    nginx = own.state / own.scope / "nginx"
    master = int((nginx / "nginx.pid").read_text())
    for pid in (master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())):
        os.kill(pid, signal.SIGKILL)
    engine.stop(signal.SIGTERM)
    assert not answers(own)
    engine.start()
    unit = systemd.units(own.scope, "nginx", nginx)[systemd.unit_name(own.scope)]
    command = next(line.removeprefix("ExecStart=") for line in unit.splitlines() if line.startswith("ExecStart="))
    subprocess.run(shlex.split(command), check=True, stdin=subprocess.DEVNULL)
    own.wait_for(60, lambda: answers(own), "the release serves again")
    assert b"1.1.0" in version(own)
    status = own.status()
    assert str(status["live"]).startswith("v1.1.0-")
    assert str(status["target"]).startswith("v1.0.0-")
    own.wait_for(60, lambda: "warm" in own.status()["takes"], "the standby is back")


def test_a_power_cut_while_a_candidate_is_under_test_brings_live_back_and_not_the_candidate(
    own: Site, engine: OwnDockerd
) -> None:
    two_releases(own)
    at = last_deployment(own)
    process = own.start("deploy", "v1.2.0")
    await_row(own, at, "health", "started", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    engine.power_cut()
    engine.start()
    own.wait_for(60, lambda: answers(own), "the release serves again")
    assert b"1.1.0" in version(own)
    mended = own.run("doctor", "--mend", expect=None).out
    assert "it is undone" in mended
    own.wait_for(60, lambda: own.status()["takes"].startswith("warm"), "the standby is back")
    assert [name for name in own.containers() if "v1.2.0" in name] == []


def test_what_could_not_be_undone_while_the_engine_was_away_is_undone_by_the_next_command(
    own: Site, engine: OwnDockerd
) -> None:
    two_releases(own)
    settling = {"checks": {"health": {"settle": "30s"}}}  # it is in this step when the engine goes
    own.repository.release("v1.3.0", manifest=settling)
    at = last_deployment(own)
    process = own.start("deploy", "v1.3.0")
    await_row(own, at, "start", "done", process)
    engine.power_cut()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert "could not be undone" in err and "the next command" in err
    assert rows(own, "SELECT state FROM deployments ORDER BY number DESC LIMIT 1") == [("failed",)]
    engine.start()
    own.wait_for(60, lambda: answers(own), "live serves again")
    mended = own.run("doctor", "--mend", expect=None).out
    assert "is undone now" in mended, mended
    assert [name for name in own.containers() if "v1.3.0" in name] == []
    assert str(own.live).startswith("v1.1.0-")
