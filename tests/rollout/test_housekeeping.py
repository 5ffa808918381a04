"""What went is told by its kind: not everything that is pruned is an image. What a rollback would start again stays."""

from __future__ import annotations

import pytest

from release.engine.base import Instance, State
from release.naming import Slot
from release.rollout.housekeeping import cold_standby, told


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, ""),
        ({"image": 1}, "pruned 1 image"),
        ({"container": 2}, "pruned 2 containers"),
        ({"container": 1, "image": 2}, "pruned 1 container and 2 images"),
        ({"container": 1, "image": 2, "build leftover": 3}, "pruned 1 container, 2 images and 3 build leftovers"),
    ],
)
def test_each_kind_is_counted_for_itself(counts: dict[str, int], text: str) -> None:
    assert told(counts) == text


def stopped(deployment: str, state: State) -> Instance:
    """In the idle slot; green serves."""
    return Instance(
        deployment, f"c-{deployment}", "shop", Slot.BLUE, f"v{deployment}", deployment, "sha256:1", 1, state
    )


def test_a_container_that_never_ran_is_no_standby_and_does_not_take_the_place_of_the_one_that_is() -> None:
    served, created = stopped("1", State.EXITED), stopped("2", State.CREATED)
    assert cold_standby([served, created], Slot.GREEN, "v0") == "1"
    assert cold_standby([created], Slot.GREEN, "v0") is None
    assert cold_standby([served, stopped("3", State.RUNNING)], Slot.GREEN, "v0") is None
