"""What every TrafficSwitch does, asked of both: of the disk, and of what answers a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release import proxy as proxies
from release.config.manifest import Manifest
from release.errors import ProxyError
from release.naming import Slot
from release.proxy.base import Proxy, Traffic
from tests.proxy.conftest import fetch, manifest_of, somebodys_nginx

BLUE, GREEN = Traffic.all_to(Slot.BLUE, "one"), Traffic.all_to(Slot.GREEN, "two")


@dataclass
class Subject:
    """An installed proxy, the URL its users know, and a way to make every further `set` fail."""

    proxy: Proxy
    manifest: Manifest
    state: Path
    url: str
    jam: Callable[[], None]

    def answer(self) -> str | int:
        said = fetch(self.url)
        return str(said.json["answer"]) if said.status == 200 else said.status

    def reopened(self) -> Proxy:
        return proxies.open(self.manifest, self.state)


@pytest.fixture(params=["flags", "rewrite"])
def subject(request: pytest.FixtureRequest, backends: dict[str, int], state: Path) -> Iterator[Subject]:
    if request.param == "flags":
        manifest = manifest_of(backends)
        proxy = proxies.open(manifest, state)
        proxy.install()
        yield Subject(proxy, manifest, state, proxy.public_url, lambda: _jam_flags(state))
        proxy.uninstall()
        return
    first = "upstream echo { server 127.0.0.1:1 down; }\n"
    with somebodys_nginx(state.parent / "theirs", "proxy_pass http://echo;", first) as nginx:
        conf = nginx.base / "conf.d" / "echo.conf"
        conf.unlink()
        section = {"switch": "rewrite", "include": str(conf), "command": nginx.command, "listen": nginx.port}
        manifest = manifest_of(backends, **section)
        proxy = proxies.open(manifest, state)
        proxy.install()
        yield Subject(proxy, manifest, state, nginx.url, lambda: _jam_rewrite(nginx.base))
        proxy.uninstall()


def _jam_flags(state: Path) -> None:
    (state / "traffic" / "shares" / "jam").write_text("a file where the next owner's directory belongs")


def _jam_rewrite(base: Path) -> None:
    (base / "conf.d" / "other.conf").write_text("nonsense;")


def test_nothing_serves_before_traffic_is_set(subject: Subject) -> None:
    assert subject.proxy.switch.get() is None
    assert subject.answer() in (502, 503)


def test_traffic_goes_where_it_was_set(subject: Subject) -> None:
    switch = subject.proxy.switch
    first = switch.set(BLUE)
    assert (first.before, first.after, subject.answer()) == (None, BLUE, "blue")
    second = switch.set(GREEN)
    assert (second.before, second.after, subject.answer()) == (BLUE, GREEN, "green")
    assert second.microseconds > 0
    subject.proxy.verify(GREEN)
    with pytest.raises(ProxyError):
        subject.proxy.verify(BLUE, timeout=0.1)


def test_another_process_reads_the_same_truth(subject: Subject) -> None:
    subject.proxy.switch.set(GREEN)
    again = subject.reopened()
    assert again.switch.get() == GREEN
    again.verify(GREEN)


def test_the_way_back_leads_back(subject: Subject) -> None:
    switch = subject.proxy.switch
    switch.set(BLUE)
    switch.set(GREEN)
    assert switch.restore(BLUE).after == BLUE
    assert (switch.get(), subject.answer()) == (BLUE, "blue")


def test_preparing_moves_nothing(subject: Subject) -> None:
    switch = subject.proxy.switch
    switch.set(BLUE)
    switch.prepare("two", [0, 1000])
    switch.prepare("two", [0, 1000])
    assert (switch.get(), subject.answer()) == (BLUE, "blue")
    switch.set(GREEN)
    assert subject.answer() == "green"


def test_setting_what_serves_already_is_fine(subject: Subject) -> None:
    subject.proxy.switch.set(GREEN)
    assert subject.proxy.switch.set(GREEN).before == GREEN
    assert subject.answer() == "green"


def test_a_switch_that_fails_leaves_traffic_where_it_was(subject: Subject) -> None:
    switch = subject.proxy.switch
    switch.set(BLUE)
    subject.jam()
    with pytest.raises(ProxyError):
        switch.set(Traffic.all_to(Slot.GREEN, "jam"))
    assert (switch.get(), subject.answer()) == (BLUE, "blue")


def test_clearing_ends_all_service_until_traffic_is_set_again(subject: Subject) -> None:
    switch = subject.proxy.switch
    switch.set(BLUE)
    switch.clear()
    switch.clear()
    assert switch.get() is None
    assert subject.answer() in (502, 503)
    switch.set(GREEN)
    assert subject.answer() == "green"


def test_forgetting_keeps_what_serves_and_what_is_named(subject: Subject) -> None:
    switch = subject.proxy.switch
    for owner in ("old", "kept", "live"):
        switch.prepare(owner, [0, 1000])
    switch.set(Traffic.all_to(Slot.GREEN, "live"))
    switch.forget(["kept"])
    assert (switch.get(), subject.answer()) == (Traffic.all_to(Slot.GREEN, "live"), "green")
    switch.restore(Traffic.all_to(Slot.BLUE, "kept"))
    assert subject.answer() == "blue"


def test_installing_again_does_not_move_traffic(subject: Subject) -> None:
    subject.proxy.switch.set(GREEN)
    assert subject.reopened().install() is False
    assert (subject.proxy.switch.get(), subject.answer()) == (GREEN, "green")


@pytest.mark.parametrize("traffic", [Traffic(1001, "d"), Traffic(-1, "d"), Traffic(0, "../d"), Traffic(0, "")])
def test_what_cannot_be_traffic_is_refused(subject: Subject, traffic: Traffic) -> None:
    with pytest.raises(ProxyError):
        subject.proxy.switch.set(traffic)
    assert subject.proxy.switch.get() is None


def test_a_share_of_a_canary_is_served_or_refused_but_never_rounded(subject: Subject) -> None:
    switch = subject.proxy.switch
    switch.set(BLUE)
    canary = Traffic(300, "two")
    if switch.kind == "flags":
        switch.set(canary)
        assert switch.get() == canary
        return
    with pytest.raises(ProxyError, match="flags"):
        switch.prepare("two", [300])
    with pytest.raises(ProxyError, match="flags"):
        switch.set(canary)
    assert (switch.get(), subject.answer()) == (BLUE, "blue")
