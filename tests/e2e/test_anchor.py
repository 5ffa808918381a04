"""The anchor: a model may erode by less than a margin each time, and not by more than one in all."""

from __future__ import annotations

import pytest

from tests.support.site import Site

pytestmark = pytest.mark.docker

_FAST = {"checks": {"latency": None, "integration": None}, "rollout": {"observe": {"for": "0s"}}, "retain": 1}


def test_a_release_is_compared_with_the_pinned_one_too_and_its_image_is_kept(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=_FAST)
    site.repository.release("v1.1.0")
    site.repository.release("v1.2.0")
    pinned = {"checks": {"quality": {"anchor": "v1.0.0"}}}
    site.repository.release("v1.3.0", manifest=pinned)
    site.repository.release("v1.4.0", noise=0.3, manifest={"checks": {"quality": {"metrics": {"bleu": {"floor": 1}}}}})
    for tag in ("v1.0.0", "v1.1.0"):
        site.deploy(tag)
    ran = site.deploy("v1.3.0")
    assert "anchor" in site.run("report", "v1.3.0", "--format", "json").out
    assert any(image.partition(":")[2].startswith("v1.0.0-") for image in site.images()), "the anchor's image is gone"
    site.deploy("v1.2.0")
    assert not any("anchor" in name for name in site.containers()), ran.err
    refused = site.deploy("v1.4.0", expect=1)
    assert "quality refused it" in refused.err
    assert not any("anchor" in name for name in site.containers())
