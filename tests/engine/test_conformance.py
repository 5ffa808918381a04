"""What release/engine/base.py promises, asked of every engine."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from release import naming
from release.engine import instance_files
from release.engine.base import Instance, State
from release.errors import EngineError
from release.naming import Slot
from tests.engine.conftest import Bench
from tests.support.ports import free_port
from tests.support.services import unique

Fetch = Callable[[Instance, str], Any]
Until = Callable[..., None]


def test_an_engine_tells_what_there_is(bench: Bench) -> None:
    info = bench.engine.info()
    assert info.kind == bench.engine.kind and info.version
    assert info.memory_total and info.memory_available and info.disk_free
    assert info.memory_available <= info.memory_total


def test_a_started_instance_serves_on_its_port(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start()
    assert instance.state is State.RUNNING
    assert fetch(instance, "/version")["version"] == "1.0.0"


def test_it_is_published_on_loopback_only(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start()
    fetch(instance, "/version")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; asks which address would be used
        outward = probe.getsockname()[0]
    with pytest.raises(OSError):
        socket.create_connection((outward, instance.host_port), timeout=2)


def test_an_instance_says_who_it_is(bench: Bench) -> None:
    spec = bench.spec(slot=Slot.GREEN, labels={naming.LABEL_CONFIG: "c0ffee"})
    instance = bench.engine.start(spec)
    for seen in (instance, bench.now(instance), *bench.engine.instances(bench.scope)):
        assert (seen.name, seen.scope, seen.slot, seen.release) == (spec.name, spec.scope, Slot.GREEN, spec.release)
        assert (seen.deployment, seen.image_id, seen.host_port) == (spec.deployment, spec.image_id, spec.host_port)
        assert seen.labels[naming.LABEL_CONFIG] == "c0ffee"
        assert seen.id == instance.id


def test_a_secret_reaches_the_service_and_shows_nowhere(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start(env={"MODE": "test"})
    environment = fetch(instance, "/env")
    assert environment["API_KEY"] == "s3cret-value" and environment["MODE"] == "test"
    assert "s3cret-value" not in repr([instance, bench.engine.instances(bench.scope)])


def test_the_environment_of_the_command_does_not_leak_in(
    bench: Bench, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_1")
    monkeypatch.setenv("CI_JOB_TOKEN", "leaked")
    assert not {"RUNNER_TRACKING_ID", "CI_JOB_TOKEN"} & set(fetch(bench.start(), "/env"))


def test_only_instances_of_the_scope_are_listed(bench: Bench) -> None:
    mine = bench.start()
    elsewhere = bench.start(scope=unique("other"))
    try:
        assert [instance.id for instance in bench.engine.instances(bench.scope)] == [mine.id]
        assert [instance.id for instance in bench.engine.instances(elsewhere.scope)] == [elsewhere.id]
    finally:
        bench.engine.remove(elsewhere.id)


def test_stop_ends_the_service_politely(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start()
    fetch(instance, "/version")
    begun, heard = threading.Event(), []

    def listen() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance.host_port}/stream?20", timeout=60) as answer:
            for line in answer:
                heard.append(line)
                begun.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert begun.wait(60)
    bench.engine.stop(instance.id, 60)
    listener.join()
    stopped = bench.now(instance)
    assert [line for line in heard if line.strip()] == [b"data: %d 1.0.0\n" % number for number in range(20)]
    assert (stopped.state, stopped.exit_code) == (State.EXITED, 0)


def test_stop_kills_a_service_that_does_not_listen(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start(behaviour={"deaf": True})
    fetch(instance, "/version")
    bench.engine.stop(instance.id, 1)
    stopped = bench.now(instance)
    assert (stopped.state, stopped.exit_code) == (State.EXITED, 137)


def test_stopping_and_removing_twice_is_fine(bench: Bench) -> None:
    instance = bench.start()
    for _ in range(2):
        bench.engine.stop(instance.id, 2)
    for _ in range(2):
        bench.engine.remove(instance.id)
    bench.engine.stop(instance.id, 1)
    assert bench.engine.inspect(instance.id) is None
    assert bench.engine.instances(bench.scope) == []


def test_a_running_instance_is_removed_at_once(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start(behaviour={"deaf": True})
    fetch(instance, "/version")
    bench.engine.remove(instance.id)
    assert bench.engine.port_owner(instance.host_port) is None


def test_a_stopped_instance_comes_back_as_it_was(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start(env={"MODE": "test"})
    fetch(instance, "/version")
    bench.engine.stop(instance.id, 5)
    assert bench.now(instance).state is State.EXITED
    again = bench.engine.resume(instance.id)
    environment = fetch(again, "/env")
    assert (again.id, again.name, again.host_port) == (instance.id, instance.name, instance.host_port)
    assert environment["MODE"] == "test" and environment["API_KEY"] == "s3cret-value"
    assert again.pid_token != instance.pid_token


def test_resuming_what_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(EngineError):
        bench.engine.resume("0" * 12)


def test_a_candidate_that_dies_stays_dead(bench: Bench, until: Until) -> None:
    instance = bench.start(behaviour={"die_after": 0.3})
    until(lambda: bench.now(instance).state is State.EXITED)
    dead = bench.now(instance)
    assert (dead.exit_code, dead.restarts) == (4, 0)


def test_a_kept_instance_that_dies_is_started_again_and_the_restart_shows(
    bench: Bench, fetch: Fetch, until: Until
) -> None:
    instance = bench.start(behaviour={"die_after_requests": 1})
    bench.engine.keep(instance.id, True)
    token = bench.now(instance).pid_token
    for _ in range(2):  # the second one kills it; it is asked again until it is back
        fetch(instance, "/echo")
    until(lambda: bench.now(instance).restarts >= 1 and bench.now(instance).state is State.RUNNING)
    assert bench.now(instance).pid_token != token
    assert fetch(instance, "/version")["version"] == "1.0.0"


def test_a_kept_instance_that_is_stopped_stays_stopped(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start()
    bench.engine.keep(instance.id, True)
    fetch(instance, "/version")
    bench.engine.stop(instance.id, 5)
    time.sleep(1)
    assert bench.now(instance).state is State.EXITED


def test_an_instance_no_longer_kept_stays_dead(bench: Bench, fetch: Fetch, until: Until) -> None:
    instance = bench.start(behaviour={"die_after_requests": 1})
    bench.engine.keep(instance.id, True)
    bench.engine.keep(instance.id, False)
    fetch(instance, "/echo")
    with contextlib.suppress(OSError):  # the second one kills it
        urllib.request.urlopen(f"http://127.0.0.1:{instance.host_port}/echo", timeout=60).close()
    until(lambda: bench.now(instance).state is State.EXITED)
    time.sleep(0.5)
    assert bench.now(instance).restarts == 0


def test_a_taken_port_is_told_and_leaves_nothing(bench: Bench) -> None:
    first = bench.start()
    with pytest.raises(EngineError) as caught:
        bench.start(host_port=first.host_port)
    assert first.name in str(caught.value)
    assert [instance.id for instance in bench.engine.instances(bench.scope)] == [first.id]


def test_a_port_that_a_stranger_holds_is_told_and_leaves_nothing(bench: Bench) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", free_port()))
        stranger.listen()
        port = stranger.getsockname()[1]
        assert str(os.getpid()) in (bench.engine.port_owner(port) or "")
        with pytest.raises(EngineError):
            bench.start(host_port=port)
    assert bench.engine.instances(bench.scope) == []
    assert bench.engine.port_owner(port) is None


def test_a_taken_name_is_refused_and_its_holder_lives_on(bench: Bench, fetch: Fetch) -> None:
    first = bench.start()
    with pytest.raises(EngineError):
        bench.start(name=first.name, deployment=first.deployment)
    assert [instance.id for instance in bench.engine.instances(bench.scope)] == [first.id]
    assert fetch(first, "/version")["version"] == "1.0.0"


def test_an_image_that_is_not_there_is_an_error_and_leaves_nothing(bench: Bench) -> None:
    with pytest.raises(EngineError, match=r"[Nn]o such image"):
        bench.start(image_id="sha256:" + "0" * 64)
    assert bench.engine.instances(bench.scope) == []


def test_a_command_that_is_not_there_never_runs(bench: Bench, until: Until) -> None:
    try:
        instance = bench.start(command=("no-such-command",))
    except EngineError:
        assert bench.engine.instances(bench.scope) == []
        return
    until(lambda: bench.now(instance).state is State.EXITED)
    assert bench.now(instance).exit_code == 127
    assert any("no-such-command" in line for line in bench.engine.logs(instance.id))


def test_a_command_of_the_manifest_replaces_the_images(bench: Bench, until: Until) -> None:
    instance = bench.start(command=("python3", "-c", "print('instead')"))
    until(lambda: bench.now(instance).state is State.EXITED)
    assert list(bench.engine.logs(instance.id)) == ["instead"]


def test_logs_are_lines_whatever_the_bytes(bench: Bench, until: Until) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'one\n\xff broken\n' + 'zwei \u00e4\n'.encode() + b'end')"
    instance = bench.start(command=("python3", "-c", code))
    until(lambda: bench.now(instance).state is State.EXITED)
    lines = list(bench.engine.logs(instance.id))
    assert lines == ["one", "\ufffd broken", "zwei ä", "end"]
    assert list(bench.engine.logs(instance.id, tail=2)) == ["zwei ä", "end"]
    assert list(bench.engine.logs(instance.id, tail=0)) == []


def test_a_followed_log_ends_with_its_service(bench: Bench, fetch: Fetch) -> None:
    instance = bench.start()
    fetch(instance, "/version")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(bench.engine.logs(instance.id, follow=True)))
    reader.start()
    fetch(instance, "/echo")
    bench.engine.stop(instance.id, 5)
    reader.join(timeout=60)
    assert not reader.is_alive()
    assert [line for line in lines if "/echo" in line]


def test_a_log_is_capped(bench: Bench, until: Until) -> None:
    code = "import time\nfor n in range(40): print(str(n).zfill(1000), flush=True); time.sleep(0.05)"
    instance = bench.start(command=("python3", "-c", code), log_max_size=4096, log_max_files=2)
    until(lambda: bench.now(instance).state is State.EXITED)
    assert sum(len(line) for line in bench.engine.logs(instance.id)) < 40_000


def test_the_log_of_what_is_not_there_is_an_error(bench: Bench) -> None:
    with pytest.raises(EngineError):
        list(bench.engine.logs("0" * 12))


def test_a_store_finds_its_image_by_release_and_by_address(bench: Bench) -> None:
    name = naming.parse_release(bench.image.labels[naming.LABEL_RELEASE])
    assert name is not None
    found = bench.store.find(bench.scope, name)
    assert found is not None and found.id == bench.image.id
    assert bench.store.get(bench.image.id) == bench.image
    assert [image.id for image in bench.store.all(bench.scope)] == [bench.image.id]
    assert bench.store.find(bench.scope, naming.ReleaseName("v9.9.9", name.commit)) is None
    assert bench.store.get("sha256:" + "0" * 64) is None
    assert bench.store.all(unique("other")) == []


def test_an_image_in_use_cannot_be_removed(bench: Bench) -> None:
    bench.start()
    with pytest.raises(EngineError):
        bench.store.remove(bench.image)
    assert bench.store.get(bench.image.id) is not None


def test_keeping_what_is_not_there_is_an_error(bench: Bench) -> None:
    assert bench.engine.inspect("nobody") is None
    with pytest.raises(EngineError, match="nobody"):
        bench.engine.keep("nobody", True)


def test_an_instance_that_goes_while_it_is_looked_at_is_none(tmp_path: Path) -> None:
    spec = {"name": "one", "labels": {}}
    folder = instance_files.create(tmp_path, spec, {})
    listed = instance_files.every(tmp_path)
    assert [one.spec for one in listed] == [spec]
    (folder.path / "spec.json").unlink()
    assert list(instance_files.every(tmp_path)) == [] and instance_files.found(folder.path) is None
