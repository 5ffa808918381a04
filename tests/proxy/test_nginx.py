"""The managed nginx as a process: installed, replaced, killed, rebooted, taken down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import echo
from benchmarks.load import Load
from release.errors import ProxyError
from release.naming import Slot
from release.proxy import logs, questions
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx
from release.proxy.render import Layout
from tests.proxy.conftest import Install, awaited, fetch, free_port, manifest_of, opened, processes

GREEN = Traffic.all_to(Slot.GREEN, "d")
WORKERS = Layout(Path("/"), "salt").workers


def changed(proxy: ManagedNginx, **section: object) -> ManagedNginx:
    """The same proxy, of a manifest whose proxy section differs."""
    manifest = proxy.manifest.model_copy(update={"proxy": proxy.manifest.proxy.model_copy(update=section)})
    return ManagedNginx(manifest, proxy.state)


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    awaited(lambda: not any(lives(pid) for pid in pids))


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def kill_all(proxy: ManagedNginx) -> None:
    """Until none is left: a master that lives a moment longer than its worker starts another."""
    while left := processes(proxy.directory):
        kill(left)


def complete(proxy: ManagedNginx) -> list[int]:
    """Master and workers, once all are there: the first worker answers while the master starts the others."""
    awaited(lambda: len(processes(proxy.directory)) == 1 + WORKERS)
    return processes(proxy.directory)


def test_installing_twice_changes_nothing(proxy: ManagedNginx) -> None:
    before = complete(proxy)
    assert proxy.install() is False
    assert proxy.ensure_running() is False
    assert processes(proxy.directory) == before
    status = proxy.status()
    assert (status.installed, status.running, status.current) == (True, True, True)


def test_nginx_outlives_its_starter_and_inherits_nothing_of_it(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNER_TRACKING_ID", "github_1")
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        proxy = install()
        for pid in complete(proxy):
            assert os.getsid(pid) != os.getsid(0)
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"RUNNER_TRACKING_ID" not in environment and b"secret" not in environment
            assert str(tmp_path / "lock") not in opened(Path(f"/proc/{pid}"))
            assert [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1)] == ["/dev/null"] * 2


def test_a_change_of_limits_is_loaded_without_a_restart(proxy: ManagedNginx) -> None:
    proxy.switch.set(GREEN)
    master = proxy._master.pid()
    tighter = changed(proxy, max_body=1000)
    assert tighter.status().current is False
    assert tighter.install() is True
    assert tighter.status().current is True
    assert proxy._master.pid() == master
    assert fetch(proxy.public_url, "/", "POST", bytes(1001)).status == 413
    assert fetch(proxy.public_url).json["answer"] == "green"


def test_a_configuration_that_nginx_refuses_never_replaces_the_good_one(proxy: ManagedNginx) -> None:
    before = proxy.conf.read_text()
    with pytest.raises(ProxyError, match=r"nginx refuses the configuration.*conflicting|nginx refuses"):
        changed(proxy, address="192.0.2.77", listen=1).install()
    assert proxy.conf.read_text() == before
    assert fetch(proxy.public_url).status == 200


def interrupted(*_: object, **__: object) -> bool:
    raise KeyboardInterrupt


def test_an_interrupted_change_is_not_live_afterwards(proxy: ManagedNginx, monkeypatch: pytest.MonkeyPatch) -> None:
    before = questions.live_config(proxy.listeners)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(questions, "await_config", interrupted)
        changed(proxy, max_body=1 << 20).install()
    assert before is not None and questions.await_config(proxy.listeners, before, 60)
    assert proxy.install() is False


def test_a_master_that_does_not_call_itself_one_yet_is_found_and_stopped(proxy: ManagedNginx) -> None:
    """It does so a moment after its starter has returned; one that is told to be no master never does."""
    kill_all(proxy)
    quiet = ["nginx", "-e", "stderr", "-p", str(proxy.directory), "-c", str(proxy.conf), "-g", "master_process off;"]
    nothing = subprocess.DEVNULL
    subprocess.run(quiet, check=True, stdin=nothing, stdout=nothing, stderr=nothing)
    assert proxy._master.pid() in processes(proxy.directory)
    proxy._master.stop()
    assert processes(proxy.directory) == []


def test_an_interrupted_first_installation_leaves_no_nginx(
    backends: dict[str, int], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ManagedNginx(manifest_of(backends), state)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(questions, "await_config", interrupted)
        proxy.install()
    assert processes(proxy.directory) == [] and not proxy.conf.exists()


def test_a_port_conflict_at_the_start_names_the_holder_and_leaves_nothing(
    backends: dict[str, int], state: Path, squatter: Callable[[int], None]
) -> None:
    proxy = ManagedNginx(manifest_of(backends), state)
    squatter(proxy.manifest.proxy.listen)
    with pytest.raises(ProxyError, match=rf"port {proxy.manifest.proxy.listen} .* held by .*pid {os.getpid()}"):
        proxy.install()
    assert not proxy.conf.exists()
    assert not processes(proxy.directory)


def test_a_port_conflict_at_a_reload_keeps_the_old_configuration_live(
    proxy: ManagedNginx, squatter: Callable[[int], None]
) -> None:
    """`nginx -t` passes and the reload exits 0: only the live configuration's own hash tells."""
    before, held = proxy.conf.read_text(), free_port()
    squatter(held)
    with pytest.raises(ProxyError, match=rf"port {held} .* held by .*pid {os.getpid()}"):
        changed(proxy, listen=held).install()
    assert proxy.conf.read_text() == before
    assert proxy.status().current is True
    assert fetch(proxy.public_url).status == 200


def test_a_check_finds_what_would_fail_and_changes_nothing(
    proxy: ManagedNginx, squatter: Callable[[int], None]
) -> None:
    before, held = proxy.conf.read_text(), free_port()
    assert proxy.check() is False
    other = changed(proxy, max_body=1 << 20, listen=free_port())
    assert other.check() is True
    squatter(held)
    with pytest.raises(ProxyError, match=rf"port {held} .* held by .*pid {os.getpid()}"):
        changed(proxy, listen=held).check()
    with pytest.raises(ProxyError, match="nginx refuses"):
        changed(proxy, server_name="x" * 40000).check()
    assert proxy.conf.read_text() == before
    assert proxy.status().current is True and fetch(proxy.public_url).status == 200


def test_a_check_before_the_first_installation_leaves_no_nginx(backends: dict[str, int], state: Path) -> None:
    proxy = ManagedNginx(manifest_of(backends), state)
    assert proxy.check() is True
    assert not proxy.conf.exists() and processes(proxy.directory) == []
    assert [path.name for path in proxy.directory.iterdir() if path.is_file()] == ["salt"]


def test_what_was_installed_is_put_back_whatever_the_manifest_says(proxy: ManagedNginx) -> None:
    before, other = proxy.installed(), changed(proxy, listen=free_port(), admin=free_port())
    assert before is not None
    other.install()
    assert other.put_back(before) is True
    assert fetch(proxy.public_url).status == 200 and proxy.status().current is True
    assert other.ensure_running() is False
    assert other.put_back(before) is False


@pytest.mark.parametrize("which", ["master", "all"])
def test_a_killed_nginx_comes_back_with_the_same_traffic(proxy: ManagedNginx, which: str) -> None:
    """Workers of a killed master serve on and hold the ports; they must not keep the new one from starting."""
    proxy.switch.set(GREEN)
    if which == "all":
        kill_all(proxy)
    else:
        kill([proxy._master.pid() or 0])
    assert proxy.ensure_running() is True
    assert proxy.ensure_running() is False
    assert fetch(proxy.public_url).json["answer"] == "green"
    assert proxy.switch.get() == GREEN


def test_after_a_reboot_the_state_directory_brings_the_same_slot_back(proxy: ManagedNginx) -> None:
    """A reboot leaves the files, no process, and a pid file that may name somebody else's process by now."""
    proxy.switch.set(GREEN)
    kill_all(proxy)
    (proxy.directory / "nginx.pid").write_text(f"{os.getpid()}\n")
    again = ManagedNginx(proxy.manifest, proxy.state)
    assert again.status().running is False
    assert any("does not run" in problem for problem in again.status().problems)
    assert again.ensure_running() is True
    again.verify(GREEN)
    assert fetch(proxy.public_url).json["answer"] == "green"


def test_two_services_side_by_side_never_touch_each_other(
    install: Install, backends: dict[str, int], state: Path
) -> None:
    one = install(manifest_of(backends, "my-app"), state / "one")
    with echo.running("other") as port:
        other = install(manifest_of({"blue": port, "green": free_port()}, "my-app-2"), state / "other")
        one.switch.set(GREEN)
        assert (fetch(one.public_url).json["answer"], fetch(other.public_url).json["answer"]) == ("green", "other")
        other.uninstall()
        assert fetch(one.public_url).json["answer"] == "green"
        with pytest.raises(ProxyError):
            other.verify(Traffic.all_to(Slot.BLUE, "first"), timeout=0.1)


def test_another_services_listener_is_not_taken_for_ours(
    install: Install, backends: dict[str, int], state: Path
) -> None:
    one = install(manifest_of(backends, "my-app"), state / "one")
    ports = {"listen": one.manifest.proxy.listen, "admin": one.manifest.proxy.admin_port}
    other = ManagedNginx(manifest_of(backends, "another", **ports), state / "other")
    assert other.status().running is False
    with pytest.raises(ProxyError, match="held by"):
        other.install()


def test_a_log_is_rotated_once_it_is_large_and_no_line_is_lost(proxy: ManagedNginx) -> None:
    proxy.rotate_logs()
    assert not list(proxy.access_log.parent.glob("access.json.*"))
    proxy.log_limit, folder = 10, proxy.access_log.parent
    with Load(proxy.public_url, clients=4, timeout=60) as load:
        for _ in range(4):
            before = load.sent
            awaited(lambda before=before: load.sent >= before + 50 and logs.due(folder, proxy.log_limit))
            proxy.rotate_logs()
        result = load.stop()
    kept = sorted(proxy.access_log.parent.glob("access.json*"))
    awaited(lambda: sum(path.read_text().count("\n") for path in kept) >= result.requests)
    assert [path.name for path in kept] == ["access.json", *(f"access.json.{n}" for n in range(1, 5))]
    lines = [line for path in kept for line in path.read_text().splitlines()]
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert (len(lines), result.failed) == (result.requests, 0)


def test_only_so_many_old_logs_are_kept(proxy: ManagedNginx) -> None:
    proxy.log_limit, folder = 10, proxy.access_log.parent
    for _ in range(8):
        awaited(lambda: fetch(proxy.public_url) and proxy.access_log in logs.due(folder, proxy.log_limit))
        proxy.rotate_logs()
    assert len(list(proxy.access_log.parent.glob("access.json.*"))) == 5


def test_uninstalling_stops_nginx_and_keeps_logs_and_flags(proxy: ManagedNginx) -> None:
    fetch(proxy.public_url)
    proxy.uninstall()
    proxy.uninstall()
    assert not processes(proxy.directory)
    assert not proxy.conf.exists()
    assert proxy.access_log.exists()
    assert proxy.switch.get() is not None
    assert proxy.status().installed is False


def test_workers_run_as_an_account_that_can_read_the_tree(
    proxy: ManagedNginx, install: Install, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root, nginx's workers run as whoever started it")
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in complete(proxy)} > {0}
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    second = install(at=closed)
    second.verify(Traffic.all_to(Slot.BLUE, "first"))
    assert any("run as root" in problem and "chmod o+x" in problem for problem in second.status().problems)


def test_a_program_that_is_not_there_is_said_to_be_missing(backends: dict[str, int], state: Path) -> None:
    proxy = ManagedNginx(manifest_of(backends, command=("/nowhere/nginx",)), state)
    with pytest.raises(ProxyError, match="there is no /nowhere/nginx"):
        proxy.install()


def test_the_admin_location_answers_on_loopback_only(proxy: ManagedNginx) -> None:
    assert f"listen 127.0.0.1:{proxy.manifest.proxy.admin_port};" in proxy.conf.read_text()
    assert questions.ask(proxy.admin_url, "/release/health")[1]["health"] == "ok"
    assert questions.live_config(proxy.listeners) == proxy._render().config
    assert questions.ask(proxy.admin_url, "/")[0] == 404
