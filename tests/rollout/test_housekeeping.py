"""What went is told by its kind: not everything that is pruned is an image."""

from __future__ import annotations

import pytest

from release.rollout.housekeeping import told


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
