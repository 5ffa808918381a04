"""Memory as a budget: reserved before, settled after, never more than there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.errors import NoRoom, Refused
from modelhost.loading.memory import Budget, default_limit


def test_reservations_never_exceed_the_limit_and_come_back() -> None:
    budget = Budget(100)
    first = budget.reserve(60, "one")
    with pytest.raises(NoRoom, match="held by: one"):
        budget.reserve(41, "two")
    budget.reserve(40, "two")
    assert budget.free() == 0
    first.release()
    first.release()
    assert (budget.used(), first.bytes) == (40, 0)


def test_a_settlement_that_does_not_fit_changes_nothing() -> None:
    budget = Budget(100)
    first, _ = budget.reserve(10, "one"), budget.reserve(50, "two")
    first.settle(50)
    with pytest.raises(NoRoom, match="estimated"):
        first.settle(51)
    assert first.bytes == 50
    first.settle(5)
    assert budget.used() == 55


def test_devices_have_budgets_of_their_own_and_an_unknown_one_is_refused() -> None:
    budget = Budget({"cpu": 10, "cuda:0": 20})
    budget.reserve(10, "one")
    budget.reserve(20, "one", "cuda:0")
    with pytest.raises(NoRoom, match="on cuda:0"):
        budget.reserve(1, "two", "cuda:0")
    with pytest.raises(Refused, match=r"'cuda:1'.*cpu, cuda:0"):
        budget.reserve(1, "one", "cuda:1")


def test_more_than_the_whole_budget_is_said_to_be_so() -> None:
    with pytest.raises(NoRoom, match=r"the whole budget is 100\.0 MB"):
        Budget(100_000_000).reserve(100_000_001, "big")


def test_what_is_next_to_nothing_in_megabytes_is_said_in_bytes() -> None:
    with pytest.raises(NoRoom, match=r"small needs 42 bytes on cpu, the whole budget is 10 bytes"):
        Budget(10).reserve(42, "small")
    budget = Budget(100_000)
    budget.reserve(60_000, "one")
    with pytest.raises(
        NoRoom, match=r"two needs 0\.1 MB on cpu, 40,000 bytes of 0\.1 MB are free; held by: one 0\.1 MB"
    ):
        budget.reserve(60_000, "two")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 10 GB free."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16000000 kB\nMemAvailable:   9765625 kB\n")
    return tmp_path


def _group(path: Path, limit: str, usage: int, inactive: int, names: tuple[str, str]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / names[0]).write_text(f"{limit}\n")
    (path / names[1]).write_text(f"{usage}\n")
    (path / "memory.stat").write_text(f"anon 5\ninactive_file {inactive}\n")


V2 = "memory.max", "memory.current"


def test_without_a_control_group_a_share_of_the_available_memory_is_divided_by_the_workers(machine: Path) -> None:
    assert default_limit(1, machine) == 8_000_000_000
    assert default_limit(4, machine) == 2_000_000_000


def test_the_tightest_control_group_decides_and_its_page_cache_counts_as_free(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/pod/container\n")
    _group(machine / "sys/fs/cgroup/pod", "3000000000", 2_000_000_000, 500_000_000, V2)
    _group(machine / "sys/fs/cgroup/pod/container", "max", 2_000_000_000, 0, V2)
    assert default_limit(1, machine) == 1_200_000_000


def test_inside_a_container_the_limit_lies_at_the_top(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/../../docker/abc\n")
    _group(machine / "sys/fs/cgroup", "1000000000", 0, 0, V2)
    assert default_limit(2, machine) == 400_000_000


def test_the_older_kind_of_control_group_is_understood(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("4:memory:/box\n3:cpu:/box\n")
    names = "memory.limit_in_bytes", "memory.usage_in_bytes"
    _group(machine / "sys/fs/cgroup/memory/box", "1000000000", 0, 0, names)
    _group(machine / "sys/fs/cgroup/memory", "9223372036854771712", 0, 0, names)
    assert default_limit(1, machine) == 800_000_000


def test_this_machine_has_room_for_something() -> None:
    assert default_limit() > 0
