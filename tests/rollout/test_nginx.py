"""What a manifest changes of nginx is live from the switch on, and not live where there was none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.conftest import SomebodysNginx, fetch, processes, somebodys_nginx
from tests.support.faults import await_row, kill, last_deployment
from tests.support.ports import free_ports
from tests.support.site import Site, make_site

QUICK: dict[str, Any] = {
    "engine": {"kind": "process"},
    "container": {"memory": None},
    "checks": {"integration": None, "quality": None, "latency": None, "warmup": {"requests": 2}},
    "rollout": {"observe": {"for": "500ms", "min_requests": 1}},
    "hooks": {"before_switch": "sleep 0.1 $LINGER_BEFORE_SWITCH"},
}
UNHEALTHY = {"checks": {"health": {"timeout": "1s"}}}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to every account, as nginx's workers need it."""
    path = Path(tempfile.mkdtemp(prefix="release-rollout-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def at_work(site: Site) -> Iterator[Site]:
    yield site
    site.remove()
    site.wait_for(
        60, lambda: processes(site.state) == [], "no nginx of its own, nor a worker with its logs open, is left"
    )


@pytest.fixture
def managed(folder: Path) -> Iterator[Site]:
    with at_work(make_site(folder, QUICK, cases=4)) as site:
        yield site


@pytest.fixture
def somebodys(folder: Path) -> Iterator[SomebodysNginx]:
    with somebodys_nginx(folder / "theirs", 'return 200 "theirs";') as nginx:
        yield nginx


@pytest.fixture
def included(folder: Path, somebodys: SomebodysNginx) -> Iterator[Site]:
    file = str(somebodys.base / "conf.d" / "shop.conf")
    section = {"kind": "included", "include": file, "command": list(somebodys.command)}
    with at_work(make_site(folder, QUICK | {"proxy": section}, cases=4)) as site:
        yield site


@pytest.fixture(params=["managed", "included"])
def site(request: pytest.FixtureRequest) -> Site:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Site)
    return found


def deployed(site: Site, tag: str) -> None:
    ran = site.deploy(tag, expect=None)
    assert ran.code in (0, 7), ran.err


def moved(site: Site, tag: str, **behaviour: Any) -> tuple[str, str]:
    """Tags a release that listens elsewhere; gives the address of before and the one it asks for."""
    before = site.url
    listen, admin = free_ports(2)
    change = {"proxy": {"listen": listen, "admin": admin, "max_body": "3m"}}
    site.repository.release(tag, manifest=change | (UNHEALTHY if behaviour else {}), **behaviour)
    return before, site.url


def version(url: str) -> str:
    answer = fetch(url, "/version")
    return str(answer.json["version"]) if answer.status == 200 else str(answer.status)


def closed(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def closes(url: str) -> bool:
    """Workers of the configuration before listen on for a moment after a reload."""
    end = time.monotonic() + 60
    while not closed(url) and time.monotonic() < end:
        time.sleep(0.02)
    return closed(url)


def conf(site: Site) -> str:
    proxy = site.repository.manifest["proxy"]
    return Path(proxy.get("include") or site.state / site.scope / "nginx" / "nginx.conf").read_text()


@pytest.mark.parametrize("command", ["deploy", "check"])
def test_a_refused_release_has_changed_nothing_of_what_serves(site: Site, command: str) -> None:
    site.repository.release("v1.0.0")
    deployed(site, "v1.0.0")
    before = conf(site)
    old, new = moved(site, "v1.1.0", health=500)
    assert site.run(command, "v1.1.0", expect=None).code not in (0, 7)
    assert version(old) == "1.0.0" and closes(new)
    assert conf(site) == before
    assert str(site.live).startswith("v1.0.0-")
    assert "older configuration" not in site.run("doctor", expect=None).out


def test_a_release_that_passes_a_check_has_changed_nothing_either(site: Site) -> None:
    site.repository.release("v1.0.0")
    deployed(site, "v1.0.0")
    old, new = moved(site, "v1.1.0")
    site.run("check", "v1.1.0")
    assert version(old) == "1.0.0" and closes(new)


def test_an_accepted_release_listens_where_its_manifest_says(site: Site) -> None:
    site.repository.release("v1.0.0")
    deployed(site, "v1.0.0")
    old, new = moved(site, "v1.1.0")
    deployed(site, "v1.1.0")
    site.wait_for(60, lambda: closed(old), "the old port closes")
    assert version(new) == "1.1.0"
    assert str(site.live).startswith("v1.1.0-")
    site.run("rollback")
    assert version(new) == "1.0.0", "a rollback moves traffic and does not reload nginx"
    assert str(site.live).startswith("v1.0.0-")


@pytest.mark.parametrize("way", ["doctor", "rollback", "deploy"])
def test_killed_between_it_is_put_back_by_the_next_command(site: Site, way: str) -> None:
    site.repository.release("v1.0.0")
    deployed(site, "v1.0.0")
    before = conf(site)
    old, new = moved(site, "v1.1.0")
    run = killed_before_its_switch(site, "v1.1.0")
    assert closes(old) and version(new) == "1.0.0", "traffic has not moved"
    if way == "deploy":
        site.repository.release("v1.2.0", manifest={"proxy": {"listen": free_ports(1)[0]}} | UNHEALTHY, health=500)
        told = site.deploy("v1.2.0", expect=None).err
    elif way == "doctor":
        told = site.run("doctor", "--mend", expect=None).out
    else:
        told = site.run("rollback").out
    assert "v1.1.0" in told
    assert state_of(site, run) == "undone"
    assert version(old) == "1.0.0" and closes(new)
    assert conf(site) == before


def killed_before_its_switch(site: Site, tag: str, state: str = "done", delay: float = 0.0) -> str:
    """SIGKILL once nginx has changed, or is told to; the lock of the traffic is held: it comes no further."""
    before = last_deployment(site)
    lingering = replace(site, environment=site.environment | {"LINGER_BEFORE_SWITCH": "3"})  # time to take the lock
    process = lingering.start("deploy", tag)
    await_row(site, before, "before_switch", "started", process)
    with (site.state / site.scope / "locks" / "traffic.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        await_row(site, before, "nginx", state, process)
        time.sleep(delay)
        kill(process)
    return last_deployment(site)


def state_of(site: Site, run: str) -> str:
    with contextlib.closing(sqlite3.connect(site.state / site.scope / "ledger.db")) as connection:
        return str(connection.execute("SELECT state FROM deployments WHERE id = ?", (run,)).fetchone()[0])


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.15])
def test_killed_while_nginx_is_told_it_is_put_back_as_well(managed: Site, delay: float) -> None:
    site = managed
    site.repository.release("v1.0.0")
    deployed(site, "v1.0.0")
    before = conf(site)
    old, new = moved(site, "v1.1.0")
    killed_before_its_switch(site, "v1.1.0", "started", delay)
    site.run("doctor", "--mend", expect=None)
    assert version(old) == "1.0.0" and closes(new)
    assert conf(site) == before


def test_the_first_deployment_takes_down_the_nginx_that_it_put_up(managed: Site) -> None:
    managed.repository.release("v1.0.0")
    killed_before_its_switch(managed, "v1.0.0")
    assert not closed(managed.url), "nginx has to be up for the switch"
    managed.run("doctor", "--mend", expect=None)
    assert closes(managed.url)
    managed.wait_for(60, lambda: processes(managed.state) == [], "no nginx is left")


def test_an_nginx_that_was_put_up_by_hand_is_as_it_was_after_a_first_deployment_that_did_not_stay(
    managed: Site,
) -> None:
    managed.repository.release("v1.0.0")
    managed.run("proxy", "install")
    before = conf(managed)
    old, new = moved(managed, "v1.1.0")
    killed_before_its_switch(managed, "v1.1.0")
    assert closes(old) and not closed(new)
    managed.run("doctor", "--mend", expect=None)
    assert closes(new) and not closed(old)
    assert conf(managed) == before


def test_what_is_rolled_back_in_its_observation_takes_its_ports_along(managed: Site) -> None:
    managed.repository.release("v1.0.0")
    deployed(managed, "v1.0.0")
    before, last = conf(managed), last_deployment(managed)
    managed.repository.manifest["rollout"]["observe"]["for"] = "60s"
    old, new = moved(managed, "v1.1.0")
    process = managed.start("deploy", "v1.1.0")
    await_row(managed, last, "observe", "started", process)
    assert version(new) == "1.1.0"
    managed.run("rollback")
    process.communicate(timeout=120)
    assert process.returncode == 6
    assert version(old) == "1.0.0" and closes(new)
    assert conf(managed) == before
    assert str(managed.live).startswith("v1.0.0-")


def test_nothing_is_reloaded_where_nothing_of_it_changes(managed: Site) -> None:
    for tag in ("v1.0.0", "v1.1.0"):
        managed.repository.release(tag)
    deployed(managed, "v1.0.0")
    before = processes(managed.state / managed.scope / "nginx")
    deployed(managed, "v1.1.0")
    assert before and processes(managed.state / managed.scope / "nginx") == before


def test_one_that_is_down_runs_again_as_it_was_whatever_becomes_of_the_release(managed: Site) -> None:
    managed.repository.release("v1.0.0")
    deployed(managed, "v1.0.0")
    before = conf(managed)
    for pid in processes(managed.state / managed.scope / "nginx"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    managed.wait_for(60, lambda: closed(managed.url), "nothing listens any more")
    old, new = moved(managed, "v1.1.0", health=500)
    assert "nginx was down" in managed.deploy("v1.1.0", expect=1).err
    assert version(old) == "1.0.0" and closes(new)
    assert conf(managed) == before
