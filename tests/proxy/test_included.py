"""A file of ours in an nginx that somebody else runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load, Shot
from release import proxy as proxies
from release.errors import ProxyError
from release.naming import Slot
from release.proxy import questions
from release.proxy.base import Traffic
from release.proxy.included import IncludedNginx
from tests.proxy.conftest import SomebodysNginx, awaited, fetch, free_port, manifest_of, processes, somebodys_nginx

BLUE, GREEN = Traffic.all_to(Slot.BLUE, "first"), Traffic.all_to(Slot.GREEN, "d")


@pytest.fixture
def somebodys(state: Path) -> Iterator[SomebodysNginx]:
    with somebodys_nginx(state.parent / "theirs", 'return 200 "theirs";') as nginx:
        yield nginx


@pytest.fixture
def included(somebodys: SomebodysNginx, backends: dict[str, int], state: Path) -> IncludedNginx:
    section = {
        "kind": "included",
        "include": str(somebodys.base / "conf.d" / "echo.conf"),
        "command": somebodys.command,
    }
    proxy = proxies.open(manifest_of(backends, **section), state)
    assert isinstance(proxy, IncludedNginx)
    return proxy


def test_it_serves_beside_what_was_there(included: IncludedNginx, somebodys: SomebodysNginx) -> None:
    assert included.install() is True
    assert included.install() is False
    included.switch.set(BLUE)
    included.verify(BLUE)
    assert fetch(included.public_url).json["answer"] == "blue"
    assert fetch(somebodys.url).body == b"theirs"
    status = included.status()
    assert (status.installed, status.running, status.current) == (True, True, True)
    awaited(lambda: "blue" in included.access_log.read_text())


def test_traffic_moves_in_it_without_a_reload_and_without_a_loss(included: IncludedNginx) -> None:
    included.install()
    included.switch.set(BLUE)
    with Load(included.public_url, [Shot(), Shot.post_json("/", {})], clients=8, timeout=60) as load:
        for turn in range(20):
            before = load.sent
            included.switch.set(Traffic(1000 * (turn % 2), f"d-{turn}"))
            while load.sent < before + 20:
                time.sleep(0.001)
        result = load.stop()
    assert result.failed == 0
    assert result.by_answer.keys() == {"blue", "green"}


def test_uninstalling_leaves_the_rest_as_it_was(included: IncludedNginx, somebodys: SomebodysNginx) -> None:
    included.install()
    included.uninstall()
    included.uninstall()
    assert not included.conf.exists()
    assert fetch(somebodys.url).body == b"theirs"
    assert included.status().running is False


def test_a_port_that_is_held_changes_nothing(
    included: IncludedNginx, somebodys: SomebodysNginx, squatter: Callable[[int], None]
) -> None:
    squatter(included.manifest.proxy.listen)
    with pytest.raises(ProxyError, match=f"pid {os.getpid()}"):
        included.install()
    assert not included.conf.exists()
    assert fetch(somebodys.url).body == b"theirs"


def test_a_configuration_that_is_broken_elsewhere_is_left_alone(
    included: IncludedNginx, somebodys: SomebodysNginx
) -> None:
    (somebodys.base / "conf.d" / "other.conf").write_text("nonsense;")
    with pytest.raises(ProxyError, match='unknown directive "nonsense"'):
        included.install()
    assert not included.conf.exists()


def test_a_file_that_nginx_does_not_include_is_an_error_and_taken_away(
    somebodys: SomebodysNginx, backends: dict[str, int], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release.proxy.included.CONFIRM", 0.5)
    elsewhere = state / "elsewhere.conf"
    section = {"kind": "included", "include": str(elsewhere), "command": somebodys.command}
    with pytest.raises(ProxyError, match="keeps the old one"):
        IncludedNginx(manifest_of(backends, **section), state).install()
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    "text", [b"server { listen 127.0.0.1:1; }\n", b"# caf\xe9\n", b"# echo-staging: written by release, and so on\n"]
)
def test_a_file_of_somebody_else_is_neither_overwritten_nor_taken_away(included: IncludedNginx, text: bytes) -> None:
    included.conf.write_bytes(text)
    with pytest.raises(ProxyError, match="wrote it for echo"):
        included.install()
    included.uninstall()
    assert included.conf.read_bytes() == text


def test_an_interrupted_change_is_not_live_afterwards(included: IncludedNginx, monkeypatch: pytest.MonkeyPatch) -> None:
    included.install()
    before = questions.live_config(included.listeners)
    section = included.manifest.proxy.model_copy(update={"max_body": 1 << 20})
    other = IncludedNginx(included.manifest.model_copy(update={"proxy": section}), included.state)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(questions, "await_config", interrupted)
        other.install()
    assert before is not None and questions.await_config(included.listeners, before, 60)
    assert included.install() is False


def interrupted(*_: object) -> bool:
    raise KeyboardInterrupt


def test_a_tree_that_its_workers_could_not_read_is_refused_before_it_is_installed(included: IncludedNginx) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root, nginx's workers read what its owner reads")
    included.state.chmod(0o700)
    with pytest.raises(ProxyError, match=f"chmod o\\+x {included.state}"):
        included.install()
    assert not included.conf.exists()


def test_one_that_is_down_is_for_its_owner_to_start(included: IncludedNginx, somebodys: SomebodysNginx) -> None:
    included.install()
    assert included.ensure_running() is False
    stop(somebodys)
    with pytest.raises(ProxyError, match="does not answer"):
        included.ensure_running()
    assert included.status().running is False


def stop(somebodys: SomebodysNginx) -> None:
    """`nginx -s stop` returns once it has told the master; this returns once all of it has ended."""
    somebodys.run("-s", "stop")
    awaited(lambda: not processes(somebodys.base))


def test_one_that_is_down_cannot_be_told_and_says_why(included: IncludedNginx, somebodys: SomebodysNginx) -> None:
    stop(somebodys)
    with pytest.raises(ProxyError, match="cannot be told to reload: nginx: "):
        included.install()
    assert not included.conf.exists()


def test_its_log_is_rotated_by_a_reopen(included: IncludedNginx) -> None:
    included.install()
    included.switch.set(BLUE)
    fetch(included.public_url)
    awaited(lambda: included.access_log.stat().st_size > 0)  # it writes a line once the answer is out
    included.log_limit = 1
    included.rotate_logs()
    assert included.access_log.with_name("access.json.1").exists()

    def written_to_the_new_one() -> bool:
        fetch(included.public_url, "/after")
        return "/after" in included.access_log.read_text()

    awaited(written_to_the_new_one)


def test_a_taken_admin_port_is_found_too(included: IncludedNginx, squatter: Callable[[int], None]) -> None:
    port = free_port()
    squatter(port)
    section = included.manifest.proxy.model_copy(update={"admin": port})
    other = IncludedNginx(included.manifest.model_copy(update={"proxy": section}), included.state)
    with pytest.raises(ProxyError, match=f"port {port}"):
        other.install()


def test_a_check_finds_what_would_fail_and_changes_nothing(
    included: IncludedNginx, somebodys: SomebodysNginx, squatter: Callable[[int], None]
) -> None:
    assert included.check() is True
    assert not included.conf.exists()
    included.install()
    before, held = included.installed(), free_port()
    assert included.check() is False
    assert of(included, max_body=1 << 20).check() is True
    squatter(held)
    with pytest.raises(ProxyError, match=f"pid {os.getpid()}"):
        of(included, listen=held).check()
    with pytest.raises(ProxyError, match="nginx refuses"):
        of(included, server_name="x" * 40000).check()
    assert included.installed() == before and included.status().current is True
    stop(somebodys)
    with pytest.raises(ProxyError, match="does not answer"):
        of(included, max_body=1 << 20).check()


def of(included: IncludedNginx, **section: object) -> IncludedNginx:
    """The same proxy, of a manifest whose proxy section differs."""
    proxy = included.manifest.proxy.model_copy(update=section)
    return IncludedNginx(included.manifest.model_copy(update={"proxy": proxy}), included.state)
