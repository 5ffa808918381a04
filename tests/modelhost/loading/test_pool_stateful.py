"""The pool under any order of events: its promises hold after each of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from modelhost.errors import Conflict, LoadFailed, NoRoom, Unknown
from modelhost.loading.lease import Lease
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from tests.modelhost.loading.shelf import CountingLoader, Shelf

LIMIT = 10
IDLE = 60.0
SIZES = {"1.0.0": 2, "2.0.0": 3, "3.0.0": 4, "4.0.0": 6, "5.0.0": 11}
versions = st.sampled_from(sorted(SIZES))


class PoolMachine(RuleBasedStateMachine):
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.shelf, self.loader = Shelf(), CountingLoader()
        for version, size in SIZES.items():
            self.shelf.add("model", version, size)
        self.pool = Pool(
            self.shelf,
            {"counting": self.loader},
            Budget(LIMIT),
            idle_seconds=IDLE,
            patience=0.0,
            clock=lambda: self.now,
            aside=lambda work: work(),
        )
        self.held: list[Lease] = []
        self.pinned: set[str] = set()

    @rule(target=leases, version=versions, larger=st.integers(-1, 2), holder=st.sampled_from(["", "the live set"]))
    def lease(self, version: str, larger: int, holder: str) -> Lease | None:
        self.loader.sizes[f"model {version}"] = SIZES[version] + larger
        try:
            lease = self.pool.lease("model", version, holder=holder)
        except NoRoom:
            return None
        self.held.append(lease)
        return lease

    @rule(version=versions)
    def fail_to_load(self, version: str) -> None:
        resident = version in {each.version for each in self.pool.residents()}
        self.loader.failing_warm_up[f"model {version}"] = ValueError("broken")
        try:
            self.pool.lease("model", version).release()
            assert resident
        except (LoadFailed, NoRoom):
            assert not resident
        finally:
            self.loader.failing_warm_up.clear()

    @rule(lease=consumes(leases), twice=st.booleans())
    def release(self, lease: Lease | None, twice: bool) -> None:
        if lease is None:
            return
        lease.release()
        self.held.remove(lease)
        if twice:
            lease.release()

    @rule(version=versions)
    def unload(self, version: str) -> None:
        try:
            self.pool.unload("model", version)
        except Conflict:
            assert version in self.pinned or any(each.holder for each in self.held if each.loaded.version == version)
        except Unknown:
            assert version not in {each.version for each in self.pool.residents()}

    @rule(version=versions)
    def discard(self, version: str) -> None:
        self.pool.discard("model", version)

    @rule(version=versions, on=st.booleans())
    def pin(self, version: str, on: bool) -> None:
        (self.pool.pin if on else self.pool.unpin)("model", version)
        (self.pinned.add if on else self.pinned.discard)(version)

    @rule(seconds=st.floats(0.0, 2 * IDLE))
    def time_passes_and_the_pool_is_swept(self, seconds: float) -> None:
        self.now += seconds
        kept = {each.version for each in self.pool.residents() if each.leases or each.pinned}
        self.pool.sweep()
        after = self.pool.residents()
        assert kept <= {each.version for each in after}
        assert all(each.leases or each.pinned or each.idle_seconds < IDLE for each in after)

    @invariant()
    def nothing_that_is_leased_is_closed(self) -> None:
        for lease in self.held:
            lease.model.use()

    @invariant()
    def nothing_is_closed_twice_and_all_that_left_is_closed(self) -> None:
        open_models = [model for model in self.loader.models if model.closed == 0]
        assert all(model.closed <= 1 for model in self.loader.models)
        assert len(open_models) == len(self.pool.residents())

    @invariant()
    def the_budget_is_what_is_in_memory_and_never_too_much(self) -> None:
        assert self.pool.budget.used() == sum(each.bytes for each in self.pool.residents()) <= LIMIT

    @invariant()
    def leases_are_counted(self) -> None:
        assert sum(each.leases for each in self.pool.residents()) == len(self.held)

    def teardown(self) -> None:
        for lease in self.held:
            lease.release()
        assert self.pool.close() == []
        assert self.pool.budget.used() == 0
        assert {model.closed for model in self.loader.models} <= {1}


PoolMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPool = pytest.mark.timeout(120)(PoolMachine.TestCase)
