"""What the rewritten upstream adds to the conformance suite: the log, and a file that is none of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import ProxyError
from release.naming import Slot
from release.proxy.base import Traffic
from release.proxy.rewritten import RewrittenNginx
from tests.proxy.conftest import SomebodysNginx, awaited, fetch, free_port, manifest_of, somebodys_nginx

GREEN = Traffic.all_to(Slot.GREEN, "d")


@pytest.fixture
def somebodys(state: Path) -> Iterator[SomebodysNginx]:
    with somebodys_nginx(
        state.parent / "theirs", "proxy_pass http://echo;", "upstream echo { server 127.0.0.1:1; }"
    ) as one:
        yield one


@pytest.fixture
def rewritten(somebodys: SomebodysNginx, backends: dict[str, int], state: Path) -> RewrittenNginx:
    conf = somebodys.base / "conf.d" / "echo.conf"
    section = {"switch": "rewrite", "include": str(conf), "command": somebodys.command, "listen": somebodys.port}
    return RewrittenNginx(manifest_of(backends, **section), state)


def test_an_upstream_file_that_somebody_wrote_by_hand_is_not_overwritten(rewritten: RewrittenNginx) -> None:
    before = rewritten.conf.read_text()
    with pytest.raises(ProxyError, match="not as this toolkit wrote it"):
        rewritten.install()
    assert rewritten.conf.read_text() == before


def test_only_requests_to_the_service_are_logged_and_with_their_slot(
    rewritten: RewrittenNginx, somebodys: SomebodysNginx
) -> None:
    rewritten.conf.unlink()
    rewritten.install()
    rewritten.switch.set(GREEN)
    fetch(somebodys.url, "/hello")
    awaited(lambda: rewritten.access_log.read_text().endswith("\n"))
    (line,) = [json.loads(line) for line in rewritten.access_log.read_text().splitlines()]
    assert (line["path"], line["slot"], line["status"]) == ("/hello", "green", "200")
    awaited(lambda: "/hello" in (somebodys.base / "access.log").read_text())  # their own log goes on


def test_uninstalling_leaves_an_nginx_that_still_starts(rewritten: RewrittenNginx, somebodys: SomebodysNginx) -> None:
    rewritten.conf.unlink()
    rewritten.install()
    rewritten.switch.set(GREEN)
    rewritten.uninstall()
    somebodys.run("-t")
    assert fetch(somebodys.url).json["answer"] == "green"
    assert not list(rewritten.conf.parent.glob(".*"))


def test_setting_what_is_set_already_leaves_nothing_beside_the_file(rewritten: RewrittenNginx) -> None:
    rewritten.conf.unlink()
    rewritten.install()
    for _ in range(2):
        rewritten.switch.set(GREEN)
    assert [path.name for path in rewritten.conf.parent.glob(".*")] == [".echo.conf.d.1000"]


def test_the_file_of_another_service_is_not_overwritten(rewritten: RewrittenNginx, state: Path) -> None:
    rewritten.conf.unlink()
    rewritten.install()
    before = rewritten.conf.read_text()
    proxy = rewritten.manifest.proxy.model_copy(update={"admin": 1})
    other = rewritten.manifest.model_copy(update={"service": "other", "proxy": proxy})
    with pytest.raises(ProxyError, match="wrote it for other"):
        RewrittenNginx(other, state).install()
    assert rewritten.conf.read_text() == before


def test_what_another_manifest_changed_is_put_back_and_traffic_stays_where_it_is(rewritten: RewrittenNginx) -> None:
    rewritten.conf.unlink()
    rewritten.install()
    rewritten.switch.set(Traffic(1000, "first"))
    before = rewritten.installed()
    assert before is not None
    proxy = rewritten.manifest.proxy.model_copy(update={"admin": free_port()})
    other = RewrittenNginx(rewritten.manifest.model_copy(update={"proxy": proxy}), rewritten.state)
    assert other.check() is True
    assert rewritten.installed() == before, "a check changes nothing"
    assert other.install() is True
    other.switch.set(Traffic(0, "second"))
    with pytest.raises(ProxyError, match="traffic has been moved since"):
        other.put_back(before)
    other.switch.set(Traffic(1000, "second"))
    assert other.put_back(before) is True
    assert rewritten.switch.get() == Traffic(1000, "second")
    rewritten.verify(Traffic(1000, "second"))
    assert rewritten.status().current is True
    assert other.put_back(before) is False
