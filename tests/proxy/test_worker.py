from __future__ import annotations

import os
from pathlib import Path

import pytest

from release.proxy import worker
from release.proxy.worker import Worker

STRANGER = Worker("stranger", 54321, frozenset({54321}))


def test_each_closed_directory_on_the_way_is_named_with_its_mend(state: Path) -> None:
    inner = state / "a" / "b" / "c"
    inner.mkdir(parents=True)
    assert worker.unreadable_by(STRANGER, inner) == []
    (state / "a").chmod(0o750)
    inner.chmod(0o700)
    said = worker.unreadable_by(STRANGER, inner / "not" / "there")
    assert said == [
        f"{state}/a is closed to nginx's user stranger: chmod o+x {state}/a",
        f"{inner} is closed to nginx's user stranger: chmod o+x {inner}",
    ]


def test_a_group_or_owner_that_may_pass_is_no_stranger(state: Path) -> None:
    state.chmod(0o750)
    status = state.stat()
    assert worker.unreadable_by(Worker("member", 54321, frozenset({status.st_gid})), state) == []
    assert worker.unreadable_by(Worker("owner", status.st_uid or 0, frozenset()), state) == []
    assert worker.unreadable_by(Worker("root", 0, frozenset()), state) == []


def test_an_open_tree_is_read_by_an_account_with_few_rights(state: Path) -> None:
    chosen = worker.choose(state)
    assert chosen.uid == (os.geteuid() if os.geteuid() else chosen.uid)
    assert (chosen.directive is None) == (os.geteuid() != 0)
    assert worker.unreadable_by_worker(state) == []


def test_a_closed_tree_is_read_by_root_alone(state: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root nginx runs as whoever starts it")
    assert worker.choose(state).uid != 0
    state.chmod(0o700)
    assert worker.choose(state).uid == 0
    assert str(state) in worker.unreadable_by_worker(state)[0]


def test_an_account_that_is_not_there_is_none() -> None:
    assert worker.named("no-such-account") is None
