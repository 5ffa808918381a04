"""Promotion and rollback in a registry: what `latest` means before, meanwhile and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from release.errors import Refused, UsageError
from release.models.marking import RegistryBoard
from release.models.registry import ModelRegistry
from tests.support.versions import Publish, damaged

At = Callable[[object], ModelRegistry]


@pytest.fixture
def board(at: At, root: Path) -> RegistryBoard:
    return RegistryBoard(at(root))


def statuses(at: At, root: Path) -> dict[str, str]:
    return {one.version: one.status for one in at(root).versions("translator")}


def test_promoting_the_newest_makes_it_latest(board: RegistryBoard, published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0")
    done = board.promote({"translator": "v1.1.0"}, "anna", "better")
    assert (done.before, done.after, done.changed) == ("1.0.0", "1.1.0", True)
    assert done.text.startswith("translator 1.1.0 is stable, and `latest` means it; ")
    assert "a service that has served keeps what it serves" in done.text and "--url switches it" in done.text


def test_promoting_an_older_one_leaves_latest_and_says_so(board: RegistryBoard, published: Publish) -> None:
    published("1.0.0")
    published("1.1.0", status="stable")
    done = board.promote({"translator": "1.0.0"}, "anna", "needed by a customer")
    assert (done.after, done.changed) == ("1.1.0", True) and "`latest` means 1.1.0" in done.text


def test_promoting_twice_changes_nothing(at: At, root: Path, board: RegistryBoard, published: Publish) -> None:
    published("1.0.0")
    board.promote({"translator": "1.0.0"}, "anna", "first")
    assert not board.promote({"translator": "1.0.0"}, "anna", "again").changed
    assert len(at(root).describe("translator").log) == 2


def test_what_is_damaged_is_not_promoted(at: At, root: Path, board: RegistryBoard, published: Publish) -> None:
    damaged(published("1.0.0").path)
    with pytest.raises(Refused, match="not as it was published"):
        board.promote({"translator": "1.0.0"}, "anna", "better")
    assert statuses(at, root) == {"1.0.0": "unstable"}


def test_a_rejected_version_can_be_promoted_and_that_is_said(board: RegistryBoard, published: Publish) -> None:
    published("1.0.0", status="rejected")
    assert "it had been rejected" in board.promote({"translator": "1.0.0"}, "anna", "it was the network").text


def test_a_rollback_rejects_what_was_latest(at: At, root: Path, board: RegistryBoard, published: Publish) -> None:
    published("1.0.0", status="stable")
    published("1.1.0", status="stable")
    done = board.rollback("translator", None, "anna", "wrong names")
    assert (done.before, done.after) == ("1.1.0", "1.0.0")
    assert statuses(at, root) == {"1.1.0": "rejected", "1.0.0": "stable"}
    assert at(root).describe("translator", "1.1.0").log[-1].why == "wrong names"


def test_repeated_it_goes_further_back_until_nothing_is_left(board: RegistryBoard, published: Publish) -> None:
    for minor in range(3):
        published(f"1.{minor}.0", status="stable")
    assert board.rollback("translator", None, "anna", "bad").after == "1.1.0"
    assert board.rollback("translator", None, "anna", "bad").after == "1.0.0"
    with pytest.raises(Refused, match=r"1\.0\.0 is the only one"):
        board.rollback("translator", None, "anna", "bad")
    assert board.current("translator") == "1.0.0"


def test_a_rollback_to_a_named_one_rejects_all_above_it(
    at: At, root: Path, board: RegistryBoard, published: Publish
) -> None:
    for minor in range(3):
        published(f"1.{minor}.0", status="stable")
    assert board.rollback("translator", "1.0.0", "anna", "bad").after == "1.0.0"
    assert statuses(at, root) == {"1.2.0": "rejected", "1.1.0": "rejected", "1.0.0": "stable"}
    assert not board.rollback("translator", "1.0.0", "anna", "bad").changed


def test_a_damaged_target_is_passed_over_and_refused_where_it_was_named(
    board: RegistryBoard, published: Publish
) -> None:
    published("1.0.0", status="stable")
    damaged(published("1.1.0", status="stable").path)
    published("1.2.0", status="stable")
    with pytest.raises(Refused, match="not as it was published"):
        board.rollback("translator", "1.1.0", "anna", "bad")
    done = board.rollback("translator", None, "anna", "bad")
    assert done.after == "1.0.0" and "passed over: translator 1.1.0" in done.text


def test_one_can_go_back_from_a_latest_that_cannot_even_be_read(board: RegistryBoard, published: Publish) -> None:
    published("1.0.0", status="stable")
    broken = published("1.1.0", status="stable").path
    broken.chmod(0o755)
    (broken / "version.json").unlink()
    assert board.current("translator") == "1.1.0"
    assert board.rollback("translator", None, "anna", "cannot be read").after == "1.0.0"


def test_a_rollback_goes_to_nothing_that_is_not_stable(board: RegistryBoard, published: Publish) -> None:
    published("1.0.0")
    published("1.1.0", status="stable")
    with pytest.raises(Refused, match=r"1\.0\.0 is not stable"):
        board.rollback("translator", "1.0.0", "anna", "bad")
    with pytest.raises(UsageError, match=r"no version 7\.0\.0"):
        board.rollback("translator", "7.0.0", "anna", "bad")


def pair(published: Publish, version: str, encoder: str = "unstable") -> None:
    digest = published(version, "encoder", encoder).info.digest
    published(version, "decoder", mates={"encoder": digest})


def test_a_version_whose_mate_is_not_stable_is_refused_and_the_command_that_marks_both_is_named(
    board: RegistryBoard, published: Publish
) -> None:
    pair(published, "1.0.0")
    with pytest.raises(Refused, match=r"decoder 1\.0\.0 works with encoder 1\.0\.0, which is not stable") as refused:
        board.demand_fit({"decoder": "1.0.0"})
    assert "`release models promote decoder 1.0.0 --with encoder=1.0.0`" in str(refused.value.hint)
    board.demand_fit({"decoder": "1.0.0", "encoder": "1.0.0"})
    board.demand_fit({"encoder": "1.0.0"})


def test_a_mate_that_is_stable_lets_a_version_pass_and_one_that_is_rejected_does_not(
    board: RegistryBoard, published: Publish
) -> None:
    pair(published, "1.0.0", "stable")
    board.demand_fit({"decoder": "1.0.0"})
    pair(published, "2.0.0", "stable")
    board.demand_fit({"decoder": "1.0.0"})  # stable is enough, though it is not what `latest` means
    pair(published, "3.0.0", "rejected")
    with pytest.raises(Refused, match="not stable") as refused:
        board.demand_fit({"decoder": "3.0.0"})
    assert "encoder 3.0.0, which is rejected" in str(refused.value.hint)
    assert "--with encoder=3.0.0" in str(refused.value.hint)


def test_a_mate_that_nobody_published_is_named_and_a_component_that_is_elsewhere_is_no_mate(
    board: RegistryBoard, published: Publish
) -> None:
    nobody = "sha256:" + "0" * 64
    published("1.0.0", "decoder", mates={"encoder": nobody})
    board.demand_fit({"decoder": "1.0.0"})
    published("1.0.0", "encoder", "stable")
    with pytest.raises(Refused, match="nobody has published it"):
        board.demand_fit({"decoder": "1.0.0"})


def test_what_latest_means_and_does_not_fit_together_is_said(board: RegistryBoard, published: Publish) -> None:
    pair(published, "1.0.0")
    assert "does not fit" not in board.promote({"decoder": "1.0.0", "encoder": "1.0.0"}, "anna", "first").text
    pair(published, "2.0.0")
    misfit = "does not fit together now: decoder 1.0.0 works with encoder 1.0.0, not with encoder 2.0.0"
    assert misfit in board.promote({"encoder": "2.0.0"}, "anna", "its decoder is next").text
    assert "does not fit" not in board.promote({"decoder": "2.0.0"}, "anna", "here it is").text
    back = board.rollback("encoder", None, "anna", "bad").text
    assert "decoder 2.0.0 works with encoder 2.0.0, not with encoder 1.0.0" in back
