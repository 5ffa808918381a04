"""What the toolkit stands on breaks: nginx, the flag tree, the disk of the state directory, the registry."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import (
    FAST,
    await_row,
    containers,
    deployed,
    files,
    last_deployment,
    nothing_left_behind,
    rows,
    served,
)
from tests.support.faults import two_releases as two
from tests.support.registry import RegistryServer
from tests.support.site import Site, make_site

pytestmark = pytest.mark.docker


def nginx_pids(site: Site) -> list[int]:
    """Master and workers of this site alone."""
    master = int((site.state / site.scope / "nginx" / "nginx.pid").read_text())
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, workers)]


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_nginx_that_was_killed_is_noticed_and_started_by_doctor_or_the_next_deployment(site: Site) -> None:
    two(site)
    for mend in (("doctor", "--mend"), ("deploy", "v1.2.0"), ("rollback",)):
        for pid in nginx_pids(site):
            with contextlib.suppress(ProcessLookupError):  # a worker of the configuration before may be ending
                os.kill(pid, signal.SIGKILL)
        site.wait_for(60, lambda: status_of(site.url + "/version") == 0, "nothing listens any more")
        assert any("nginx does not run" in problem for problem in site.status()["problems"])
        looked = site.run("doctor", expect=3)
        assert "nginx does not run" in looked.out
        mended = site.run(*mend, expect=None)
        assert mended.code in (0, 3, 7) and (mend[0] == "doctor" or mended.code in (0, 7)), mended.err
        assert status_of(site.url + "/version") == 200
    with served(site):
        site.run("rollback", "--to", "v1.2.0")


def test_workers_that_outlive_their_master_are_replaced_by_a_whole_nginx(site: Site) -> None:
    two(site)
    os.kill(nginx_pids(site)[0], signal.SIGKILL)
    site.run("doctor", "--mend", expect=None)
    with served(site):
        site.run("rollback")
    assert str(site.live).startswith("v1.0.0-")


def test_a_dangling_or_missing_flag_answers_503_and_never_the_wrong_slot(site: Site) -> None:
    two(site)
    traffic = site.state / site.scope / "traffic"
    flag = traffic / "green"
    for breaks in (
        lambda: (flag.unlink(), flag.symlink_to("shares/nobody/1000")),
        lambda: shutil.rmtree(traffic / flag.readlink()),
        lambda: flag.unlink(),
        lambda: (flag.unlink(), flag.write_text("green")),
    ):
        breaks()
        assert status_of(site.url + "/version") == 503
        looked = site.run("doctor", expect=3).out
        assert "release rollback --to" in looked, looked
        assert site.status()["live"] is None
        refused = site.run("rollback", expect=None)
        assert refused.code in (1, 3) and "--to" in refused.err, refused.err
        mended = site.run("rollback", "--to", "v1.1.0")
        assert "v1.1.0" in mended.out
        assert status_of(site.url + "/version") == 200
        with urllib.request.urlopen(site.url + "/version", timeout=30) as answer:
            assert b"1.1.0" in answer.read()
    assert str(site.live).startswith("v1.1.0-")
    with served(site):
        site.run("rollback", "--to", "v1.0.0")


def test_a_flag_tree_that_breaks_in_observation_goes_back_to_what_served(site: Site) -> None:
    two(site)
    site.repository.release("v1.3.0", manifest={"rollout": {"observe": {"for": "60s", "min_requests": 5}}})
    at = last_deployment(site)
    process = site.start("deploy", "v1.3.0")
    await_row(site, at, "observe", "started", process)
    flag = site.state / site.scope / "traffic" / "green"
    shutil.rmtree(flag.parent / flag.readlink())
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert str(site.live).startswith("v1.1.0-"), err
    assert status_of(site.url + "/version") == 200


@pytest.fixture
def small_disk(tmp_path: Path, base: str) -> Iterator[Site]:
    """A site whose state lies on a file system of 24 MB."""
    tmp_path.chmod(0o755)
    site = make_site(tmp_path, cases=40)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", str(site.state)], check=False)
    if done.returncode != 0:
        pytest.fail("a full disk is tried on a tmpfs, which only root may mount")
    try:
        yield site
        site.remove()
        assert site.containers() == {} and site.images() == []
    finally:
        subprocess.run(["umount", "-l", str(site.state)], check=True)


def fill(site: Site) -> Path:
    """Leaves not one block free."""
    ballast = site.state / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_stops_no_rollback_and_doctor_records_it_afterwards(small_disk: Site) -> None:
    site = small_disk
    two(site)
    with served(site):
        ballast = fill(site)
        back = site.run("rollback")
        assert "could not record" in back.err and "doctor" in back.err
        assert "v1.0.0" in back.out
        with urllib.request.urlopen(site.url + "/version", timeout=30) as answer:
            assert b"1.0.0" in answer.read()
        refused = site.deploy("v1.2.0", expect=3)
        assert "full" in refused.err or "No space" in refused.err, refused.err
        assert site.status()["live"].startswith("v1.0.0-")
        ballast.unlink()
        looked = site.run("doctor", expect=3).out
        assert "does not know it" in looked and "--mend" in looked
        mended = site.run("doctor", "--mend", expect=None).out
        assert "knows now that v1.0.0" in mended
        assert "taken back" in site.run("rollback").out or "already" in site.run("rollback").out
        assert str(site.live).startswith("v1.0.0-")
        assert rows(site, "SELECT standing FROM releases WHERE name LIKE 'v1.1.0%'") == [("withdrawn",)]
        after = site.deploy("v1.2.0", expect=None)
        assert after.code in (0, 7), after.err


def test_a_disk_that_fills_during_an_observation_keeps_nobody_from_going_back(small_disk: Site) -> None:
    site = small_disk
    two(site)
    site.repository.release("v1.3.0", manifest={"rollout": {"observe": {"for": "60s", "min_requests": 5}}})
    with served(site):
        at = last_deployment(site)
        process = site.start("deploy", "v1.3.0")
        await_row(site, at, "observe", "started", process)
        ballast = fill(site)
        site.run("rollback")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 6, err
        ballast.unlink()
        site.run("doctor", "--mend", expect=None)
        assert str(site.live).startswith("v1.1.0-")
        assert rows(site, "SELECT id FROM deployments WHERE state = 'running'") == []
        assert [name for name in site.containers() if "v1.3.0" in name] == []


def test_a_registry_that_is_gone_fails_the_push_and_touches_no_traffic(site: Site, tmp_path: Path) -> None:
    registry = RegistryServer(tmp_path / "registry").start()
    try:
        push = {"image": f"{registry.host}/{site.scope}", "registry": {"push": True}}
        site.repository.release("v1.0.0", manifest=FAST | push)
        site.repository.release("v1.1.0")
        site.repository.release("v1.2.0")
        deployed(site, "v1.0.0")
        digest = rows(site, "SELECT digest FROM releases")[0][0]
        assert str(digest).startswith("sha256:")
        before, known, images = containers(site), files(site), site.images()
        with served(site):
            at = last_deployment(site)
            process = site.start("deploy", "v1.1.0")
            await_row(site, at, "start", "done", process)
            registry.stop()
            _, err = process.communicate(timeout=120)
            assert process.returncode == 3, err
            assert "push" in err and registry.host in err
            assert containers(site) == before
            assert str(site.live).startswith("v1.0.0-")
            nothing_left_behind(site, known, images, image=":v1.1.0-")
            gone = site.deploy("v1.2.0", expect=3)
            assert registry.host in gone.err, gone.err
            assert containers(site) == before
            registry.start()
            again = site.deploy("v1.1.0", expect=None)
            assert again.code in (0, 7), again.err
            registry.stop()
            site.run("rollback")  # needs no registry
    finally:
        registry.stop()
