from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modelhost.errors import InvalidRequest
from modelhost.metadata import File, VersionInfo
from modelhost.registry.base import Entry, Status
from modelhost.registry.retention import Named, judge, removable
from tests.modelhost.registry.material import metadata

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def entry(
    component: str, version: str, status: Status, mates: dict[str, str] | None = None, created: datetime = DAY
) -> Entry:
    content = f"{component} {version}".encode().hex().ljust(64, "0")[:64]
    described = metadata(component=component, version=version, created=created, mates=mates or {})
    info = VersionInfo(**described, files=(File(path="w", bytes=1, sha256=content, fast="0" * 32),))
    return Entry(info, Path(component, version), status)


def going(entries: list[Entry], **given: object) -> set[str]:
    return {f"{one.component} {one.version}" for one in removable(judge(entries, **given))}  # type: ignore[arg-type]


STABLE = [entry("model", f"1.{minor}.0", Status.STABLE) for minor in range(6)]


def test_the_three_newest_stable_versions_stay() -> None:
    assert going(STABLE) == {"model 1.0.0", "model 1.1.0", "model 1.2.0"}
    assert going(STABLE, keep=5) == {"model 1.0.0"}


def test_fewer_than_three_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidRequest, match="at least"):
        judge(STABLE, keep=2)


def test_what_is_in_use_or_pinned_stays_and_says_so() -> None:
    verdicts = judge(STABLE, in_use=[Named("model", "1.0.0")], pinned=[Named("model", "1.1.0")])
    assert {verdict.reason for verdict in verdicts if verdict.entry.version in ("1.0.0", "1.1.0")} == {
        "in use",
        "pinned",
    }
    assert [one.version for one in removable(verdicts)] == ["1.2.0"]


def test_rejected_versions_go_and_do_not_count_as_stable() -> None:
    rejected = [entry("model", "2.0.0", Status.REJECTED), entry("model", "2.1.0", Status.REJECTED)]
    assert going([*STABLE[:3], *rejected]) == {"model 2.0.0", "model 2.1.0"}
    assert going([*STABLE[:3], *rejected], in_use=[Named("model", "2.1.0")]) == {"model 2.0.0"}


def test_candidates_stay_and_those_that_were_overtaken_go() -> None:
    old, new = entry("model", "1.0.0-rc.1", Status.UNSTABLE), entry("model", "3.0.0", Status.UNSTABLE)
    assert going([*STABLE[:3], old, new]) == {"model 1.0.0-rc.1"}
    assert going([*STABLE[:3], old, new], young_after=DAY - timedelta(days=1)) == set()
    assert going([old, new]) == set()


def test_the_mates_of_what_stays_stay_and_so_do_theirs() -> None:
    rules = entry("rules", "0.1.0", Status.REJECTED)
    other = entry("rules", "0.2.0", Status.REJECTED)
    tokenizer = entry("tokenizer", "0.1.0", Status.REJECTED, {"rules": rules.info.digest})
    model = entry("model", "1.0.0", Status.STABLE, {"tokenizer": tokenizer.info.digest})

    verdicts = judge([rules, other, tokenizer, model])
    assert [one.version for one in removable(verdicts)] == ["0.2.0"]
    assert verdicts[2].reason == "a mate of model 1.0.0"


numbers = some.builds("{}.{}.0".format, some.integers(0, 2), some.integers(0, 4))


@some.composite
def registries(draw: some.DrawFn) -> list[Entry]:
    """Up to three components whose versions name each other as mates at random."""
    names = draw(some.sets(some.tuples(some.sampled_from(["a", "b", "c"]), numbers), max_size=20))
    entries: list[Entry] = []
    for component, version in sorted(names):
        others = [one for one in entries if one.component != component]
        mates = draw(some.lists(some.sampled_from(others), max_size=2)) if others else []
        wanted = {mate.component: mate.info.digest for mate in mates}
        made = DAY + timedelta(days=draw(some.integers(0, 5)))
        entries.append(entry(component, version, draw(some.sampled_from(Status)), wanted, made))
    return draw(some.permutations(entries))


@settings(deadline=None)
@given(registries(), some.data())
def test_whatever_the_registry_nothing_that_is_needed_goes(entries: list[Entry], data: some.DataObject) -> None:
    named = [Named(one.component, one.version) for one in entries]
    choice = some.sets(some.sampled_from(named)) if named else some.just(set())
    in_use, pinned, keep = data.draw(choice), data.draw(choice), data.draw(some.integers(3, 5))
    verdicts = judge(entries, in_use=in_use, pinned=pinned, keep=keep)
    gone = removable(verdicts)
    stays = [one for one in entries if one not in gone]

    assert [verdict.entry for verdict in verdicts] == entries
    assert all(Named(one.component, one.version) not in in_use | pinned for one in gone)
    for component in {one.component for one in entries}:
        stable = [one for one in entries if one.component == component and one.status is Status.STABLE]
        newest = sorted(stable, key=lambda one: one.info.order)[-keep:]
        assert all(one in stays for one in newest)
    for kept in stays:
        for mate in entries:
            if kept.info.mates.get(mate.component) == mate.info.digest:
                assert mate in stays
    # It settles at once: a second run on what stayed removes nothing.
    assert removable(judge(stays, in_use=in_use, pinned=pinned, keep=keep)) == []
