"""A failing step at each place: nothing of it reaches live, everything is undone, and the message names the fix."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
from pathlib import Path

import pytest

from tests.support.faults import FAST, containers, deployed, files, nothing_left_behind, served, two_releases
from tests.support.site import Site

pytestmark = pytest.mark.docker


def test_a_candidate_that_fails_at_any_gate_never_reaches_live(site: Site) -> None:
    two_releases(site)
    faults = {
        "v2.0.0": ({"crash": True, "log": ["no weights"]}, "health"),
        "v2.1.0": ({"die_after_requests": 6}, ""),
        "v2.2.0": ({"openapi": {"openapi": "3.1.0", "info": {"title": "t", "version": "2"}, "paths": {}}}, "contract"),
        "v2.3.0": ({"noise": 0.3}, "quality"),
        "v2.4.0": ({"delay": 2.2}, ""),
    }
    for tag, (behaviour, _) in faults.items():
        site.repository.release(tag, **behaviour)
    before, known, images = containers(site), files(site), site.images()
    with served(site):
        for tag, (_, step) in faults.items():
            ran = site.deploy(tag, expect=None)
            assert ran.code in (1, 3), (tag, ran.err)
            assert f"✗ {step}" in ran.err, (tag, ran.err)
            assert containers(site) == before, tag
            assert str(site.live).startswith("v1.1.0-")
    nothing_left_behind(site, known, images, image=":v2.")


def test_hooks_that_fail_stop_the_run_and_show_what_they_said(site: Site) -> None:
    two_releases(site)
    hooks = {"before_start": None, "before_switch": None, "after_commit": None}
    site.repository.release("v2.0.0", manifest={"hooks": hooks | {"before_start": "echo no database; exit 3"}})
    site.repository.release("v2.1.0", manifest={"hooks": hooks | {"before_switch": "echo half done; exit 4"}})
    site.repository.release("v2.2.0", manifest={"hooks": hooks | {"after_commit": "echo no cache; exit 5"}})
    before = containers(site)
    with served(site):
        for tag, said in (("v2.0.0", "no database"), ("v2.1.0", "half done")):
            ran = site.deploy(tag, expect=1)
            assert said in ran.err and "exit code" in ran.err
            assert containers(site) == before
        ran = site.deploy("v2.2.0", expect=None)
        assert ran.code in (0, 7) and "no cache" in ran.err
        assert str(site.live).startswith("v2.2.0-")
    site.run("rollback", "--to", "v1.1.0")


def test_a_build_that_fails_leaves_no_image_and_shows_its_last_lines(site: Site) -> None:
    two_releases(site)
    dockerfile = (site.repository.path / "Dockerfile").read_text()
    site.repository.write("Dockerfile", dockerfile + "RUN echo made > /half\nRUN echo compiling; exit 7\n")
    site.repository.release("v2.0.0")
    before, known, images = containers(site), files(site), site.images()
    with served(site):
        ran = site.deploy("v2.0.0", expect=3)
        assert "compiling" in ran.err and "building" in ran.err
        assert containers(site) == before
        nothing_left_behind(site, known, images)


def test_a_stranger_on_the_idle_port_is_named_before_anything_is_touched(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST)
    site.repository.release("v1.1.0")
    deployed(site, "v1.0.0")
    port = int(site.repository.manifest["slots"]["green"])
    before, known, images = containers(site), files(site), site.images()
    with socket.socket() as stranger, served(site):
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", port))
        stranger.listen()
        ran = site.deploy("v1.1.0", expect=3)
        assert f"port {port}" in ran.err and "taken by" in ran.err and "slots.green" in ran.err
        assert containers(site) == before
        nothing_left_behind(site, known, images)
    ran = site.deploy("v1.1.0", expect=None)
    assert ran.code in (0, 7), ran.err


def test_a_stranger_that_takes_the_port_while_gates_are_prepared_is_named_too(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST)
    port = int(site.repository.manifest["slots"]["green"])
    squatter, held = _squatter(site), site.state.parent / "held"
    hook = f"python3 {squatter} {port} {held} & until [ -e {held} ]; do sleep 0.05; done"
    site.repository.release("v1.1.0", manifest={"hooks": {"before_start": hook}})
    deployed(site, "v1.0.0")
    before = containers(site)
    with served(site):
        ran = site.deploy("v1.1.0", expect=3)
        assert f"port {port}" in ran.err
        assert containers(site) == before
    held.unlink()


def _squatter(site: Site) -> Path:
    """A program that holds a port for as long as a file is there, which it makes, and no longer than two minutes; in a
    session of its own, so that the hook's end spares it."""
    path = site.state.parent / "squat.py"
    path.write_text(
        "import os, socket, sys, time\n"
        "os.setsid() if os.getpgrp() != os.getpid() else None\n"
        "held = socket.socket(); held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
        "held.bind(('127.0.0.1', int(sys.argv[1]))); held.listen()\n"
        "for number in (0, 1, 2):\n    os.close(number)\n"
        "open(sys.argv[2], 'w').close()\n"
        "end = time.monotonic() + 120\n"
        "while os.path.exists(sys.argv[2]) and time.monotonic() < end:\n    time.sleep(0.1)\n"
    )
    return path


def test_nginx_that_refuses_its_configuration_keeps_serving_with_the_old_one(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST)
    deployed(site, "v1.0.0")
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        site.repository.release("v1.1.0", manifest={"proxy": {"admin": other.server_address[1]}})
        before = containers(site)
        with served(site):
            ran = site.deploy("v1.1.0", expect=3)
            assert str(other.server_address[1]) in ran.err, ran.err
            assert containers(site) == before
        other.shutdown()


def test_an_exported_suite_that_does_not_pass_refuses_and_is_shown(site: Site) -> None:
    two_releases(site)
    site.repository.write("tests/integration/test_more.py", "def test_sums(candidate_url):\n    assert 1 + 1 == 3\n")
    site.repository.release("v2.0.0")
    before = containers(site)
    with served(site):
        ran = site.deploy("v2.0.0", expect=1)
        assert "integration refused it" in ran.err and "test_sums" in ran.err
        assert containers(site) == before


def test_a_repository_that_is_gone_stops_no_rollback(site: Site) -> None:
    two_releases(site)
    shutil.rmtree(site.repository.path)
    with served(site):
        ran = site.run("rollback", cwd=Path("/"))
    assert "v1.0.0" in ran.out
