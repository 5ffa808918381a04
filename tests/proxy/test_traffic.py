"""The flag tree on disk. That nginx follows it is asked in test_passing and test_lossless."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from release.errors import ProxyError
from release.proxy import shares
from release.proxy.base import Traffic
from release.proxy.traffic import FlagSwitch
from tests.proxy.conftest import background, fill, small_disk


@pytest.fixture
def switch(tmp_path: Path) -> FlagSwitch:
    return FlagSwitch(tmp_path / "traffic")


@pytest.fixture
def small() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a disk that fills needs root")
    with small_disk() as mount:
        yield mount


def snapshot(directory: Path) -> dict[str, int]:
    """Every file below, with its inode, but the links that moving traffic is about."""
    return {str(path): path.lstat().st_ino for path in directory.rglob("*") if not path.is_symlink()}


def test_every_file_and_directory_is_readable_by_nginx_whatever_the_umask(switch: FlagSwitch) -> None:
    before = os.umask(0o077)
    try:
        switch.set(Traffic(50, "d"))
    finally:
        os.umask(before)
    for path in [switch.directory, *switch.directory.rglob("*")]:
        if path.is_dir():
            assert path.stat().st_mode & 0o005 == 0o005, path
    assert (switch.link / "ok").stat().st_mode & 0o004


def test_a_group_that_shares_the_state_directory_may_flip_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    switch = FlagSwitch(tmp_path / "traffic")
    switch.set(Traffic(0, "d"))
    for directory in (switch.directory, switch.shares / "d"):
        assert directory.stat().st_mode & stat.S_IWGRP
        assert directory.stat().st_mode & stat.S_ISGID


def test_a_prepared_share_is_set_without_creating_anything(switch: FlagSwitch) -> None:
    switch.set(Traffic(0, "first"))
    switch.prepare("d", [0, 50, 1000])
    before = snapshot(switch.directory)
    for green in (50, 1000, 0):
        switch.set(Traffic(green, "d"))
    assert snapshot(switch.directory) == before


def test_traffic_moves_on_a_disk_without_a_byte_left(small: Path) -> None:
    switch = FlagSwitch(small / "traffic")
    switch.set(Traffic(0, "first"))
    switch.prepare("d", [0, 50, 1000])
    fill(small)
    with pytest.raises(OSError, match="No space"):
        (small / "more").write_bytes(b"x" * 8192)
    for green in (50, 1000, 0, 1000):
        assert switch.set(Traffic(green, "d")).after.green == green
        assert switch.get() == Traffic(green, "d")
    assert switch.restore(Traffic(0, "first")).after == Traffic(0, "first")


def test_a_share_that_cannot_be_prepared_leaves_traffic_where_it_was(small: Path) -> None:
    switch = FlagSwitch(small / "traffic")
    switch.set(Traffic(0, "first"))
    fill(small)
    with pytest.raises(ProxyError, match="space"):
        switch.set(Traffic(500, "d"))
    assert switch.get() == Traffic(0, "first")


def test_the_way_back_on_a_full_disk_takes_any_share_that_routes_alike(small: Path) -> None:
    switch = FlagSwitch(small / "traffic")
    switch.set(Traffic(0, "first"))
    switch.set(Traffic(1000, "second"))
    fill(small)
    switched = switch.restore(Traffic(0, "rollback-1"))
    assert switched.after == Traffic(0, "first")
    assert switch.get() == Traffic(0, "first")


def test_no_half_filled_share_is_ever_seen(switch: FlagSwitch) -> None:
    """Another process looks while shares are built, and finds each with all of its files or not at all."""
    path = switch.shares / "d"
    seen: list[set[int]] = []

    def look() -> None:
        seen.append({len(list((path / "800").iterdir()))} if (path / "800").exists() else set())

    with background(look):
        switch.prepare("d", [800])
    assert set().union(*seen) <= {802}


def test_what_a_killed_preparation_leaves_is_neither_used_nor_kept(switch: FlagSwitch) -> None:
    switch.set(Traffic(0, "first"))
    child = multiprocessing.get_context("fork").Process(target=switch.prepare, args=("d", range(1, 1000)))
    child.start()
    while not list(switch.shares.glob("d/.new-*")):
        time.sleep(0.0005)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    for path in (switch.shares / "d").glob("[0-9]*"):
        if path.is_dir():
            assert len(list(path.iterdir())) == int(path.name) + 2
    switch.forget(["d"])
    assert not list(switch.directory.rglob(".new-*"))


def test_readers_always_find_a_whole_tree_while_it_is_flipped(switch: FlagSwitch) -> None:
    switch.prepare("d", [0, 1000])
    switch.set(Traffic(0, "d"))
    seen: set[Traffic | None] = set()
    with background(lambda: seen.add(switch.get())):
        for turn in range(300):
            switch.set(Traffic(1000 * (turn % 2), "d"))
    assert seen <= {Traffic(0, "d"), Traffic(1000, "d")}


def test_the_link_alone_says_what_serves(switch: FlagSwitch) -> None:
    switch.set(Traffic(50, "d"))
    assert switch.link.readlink() == Path("shares/d/50")
    assert FlagSwitch(switch.directory).get() == Traffic(50, "d")


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda s: (s.shares / "d" / "0" / "ok").unlink(), "is not there"),
        (lambda s: (s.shares / "d" / "0" / "ok").write_text("nonsense"), "is damaged"),
        (lambda s: (s.shares / "d" / "0" / "ok").write_text('{"green": 5, "owner": "d"}'), "says it is"),
        (lambda s: (s.link.unlink(), s.link.symlink_to("/etc")), "is none of ours"),
        (lambda s: (s.link.unlink(), s.link.mkdir()), "is no symlink"),
    ],
)
def test_a_broken_tree_is_an_error_and_never_read_as_blue(switch: FlagSwitch, break_it, says: str) -> None:
    switch.set(Traffic(0, "d"))
    break_it(switch)
    with pytest.raises(ProxyError, match=says):
        switch.get()


def test_a_damaged_tree_does_not_stop_traffic_from_being_set(switch: FlagSwitch) -> None:
    switch.set(Traffic(0, "d"))
    (switch.shares / "d" / "0" / "ok").unlink()
    assert switch.set(Traffic(1000, "e")).before is None
    assert switch.get() == Traffic(1000, "e")


def test_a_failed_sync_puts_the_old_share_back(switch: FlagSwitch, monkeypatch: pytest.MonkeyPatch) -> None:
    switch.prepare("d", [0, 1000])
    switch.set(Traffic(0, "d"))

    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("release.proxy.traffic.sync_directory", broken)  # a disk that dies cannot be had
    with pytest.raises(ProxyError, match="Input/output error"):
        switch.set(Traffic(1000, "d"))
    assert switch.get() == Traffic(0, "d")
    switch.restore(Traffic(1000, "d"))
    assert switch.get() == Traffic(1000, "d")


def test_forgetting_keeps_what_serves_and_what_is_named(switch: FlagSwitch) -> None:
    for owner in ("old", "kept", "live"):
        switch.set(Traffic(0, owner))
    switch.forget(["kept"])
    assert sorted(path.name for path in switch.shares.iterdir()) == ["kept", "live"]
    assert switch.get() == Traffic(0, "live")


def test_forgetting_removes_nothing_while_it_cannot_tell_what_serves(switch: FlagSwitch) -> None:
    switch.set(Traffic(0, "d"))
    switch.link.unlink()
    switch.link.symlink_to("elsewhere")
    with pytest.raises(ProxyError):
        switch.forget([])
    assert shares.read(switch.shares / "d" / "0") == Traffic(0, "d")
