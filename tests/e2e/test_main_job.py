"""The main job: a tag becomes live traffic, and goes back, with no request lost by either."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.site import Site

pytestmark = pytest.mark.docker


def test_a_tag_becomes_live_and_the_next_one_and_goes_back_without_a_lost_request(site: Site) -> None:
    first = site.repository.release("v1.0.0")
    site.repository.release("v1.1.0")
    ran = site.deploy("v1.0.0")
    assert ran.out.strip() == f"v1.0.0-{first[:7]} is live on blue"
    assert "nothing to compare with" in ran.err
    with site.load() as load:
        site.deploy("v1.1.0")
        assert str(site.live).startswith("v1.1.0-")
        back = site.run("rollback", cwd=Path("/"))
        assert "v1.0.0" in back.out and "withdrawn" in back.out
        again = site.run("rollback")
        assert "already rolled back" in again.out
        forward = site.run("rollback", "--to", "v1.1.0")
        assert "v1.1.0" in forward.out
        site.run("rollback")
    assert load.result is not None
    assert load.result.failed == 0, load.result.failures[:5]
    assert set(load.result.by_answer) == {"1.0.0", "1.1.0"}
    assert str(site.live).startswith("v1.0.0-")


def test_a_worse_model_that_answers_its_health_check_is_refused_and_live_stays_untouched(site: Site) -> None:
    site.repository.release("v1.0.0")
    site.repository.release("v1.1.0", noise=0.3)
    site.repository.release("v1.2.0", seed=7)
    site.deploy("v1.0.0")
    before = site.containers()
    with site.load() as load:
        ran = site.deploy("v1.1.0", expect=1)
        assert "quality refused it" in ran.err and "BLEU" in ran.err
        assert site.containers() == before
        assert str(site.live).startswith("v1.0.0-")
        site.deploy("v1.2.0")  # an identical one passes
    assert load.result is not None and load.result.failed == 0
    report = site.run("report", "v1.1.0").out
    assert "quality" in report and "BLEU" in report and "refused" in report


def test_a_candidate_that_never_gets_ready_is_removed_and_its_log_is_kept_and_shown(site: Site) -> None:
    site.repository.release(
        "v1.0.0", manifest={"checks": {"health": {"timeout": "10s"}}}, health=500, log=["why: no GPU"]
    )
    ran = site.deploy("v1.0.0", expect=1)
    assert "why: no GPU" in ran.err
    assert "why: no GPU" in site.run("logs", "v1.0.0").out
    assert site.containers() == {}
    status = site.status()
    assert status["live"] is None


def test_images_carry_the_labels_that_say_what_they_are(site: Site) -> None:
    commit = site.repository.release("v1.0.0-rc.1")
    site.run("build", "v1.0.0-rc.1")
    name = f"{site.scope}:v1.0.0-rc.1-{commit[:7]}"
    found = json.loads(subprocess.run(["docker", "inspect", name], check=True, capture_output=True).stdout)[0]
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.0.0-rc.1"
    assert labels["org.opencontainers.image.revision"] == commit
    assert labels["org.opencontainers.image.title"] == site.scope
    assert site.images() == [name]
    assert "reused" in site.run("build", "v1.0.0-rc.1").err


def test_the_same_tag_is_the_same_image_and_what_is_dirty_in_the_working_tree_plays_no_part(site: Site) -> None:
    site.repository.release("v1.0.0")
    site.repository.write("service.py", "this is no python\n")
    site.deploy("v1.0.0")
    images = site.images()
    again = site.deploy("v1.0.0", "--again")
    assert "reused" in again.err
    assert site.images() == images


def test_a_deployment_of_what_is_live_does_nothing_and_says_so(site: Site) -> None:
    site.repository.release("v1.0.0")
    site.deploy("v1.0.0")
    assert "live already" in site.deploy("v1.0.0").out


def test_a_missing_or_wrong_version_is_a_usage_error_that_names_the_fix(site: Site) -> None:
    site.repository.release("v1.0.0")
    assert "name a version" in site.run("deploy", expect=2).err
    unknown = site.run("deploy", "v9.9.9", expect=2)
    assert ("v1.0.0" in unknown.err and "git fetch" in unknown.err) or "git tag" in unknown.err
    assert not (site.state / site.scope).exists()


def test_a_rollback_with_nothing_before_is_refused_and_changes_nothing(site: Site) -> None:
    site.repository.release("v1.0.0")
    site.deploy("v1.0.0")
    live = site.live
    ran = site.run("rollback", expect=1)
    assert "no good release before" in ran.err
    assert site.live == live


def test_a_dead_standby_takes_the_cold_path_and_says_so(site: Site) -> None:
    site.repository.release("v1.0.0")
    site.repository.release("v1.1.0")
    site.deploy("v1.0.0")
    site.deploy("v1.1.0")
    standby = next(name for name in site.containers() if "v1.0.0" in name)
    subprocess.run(["docker", "kill", standby], check=True, capture_output=True)
    with site.load() as load:
        ran = site.run("rollback")
    assert "cold" in ran.err
    assert str(site.live).startswith("v1.0.0-")
    assert load.result is not None and load.result.failed == 0


def test_the_last_three_good_releases_stay_and_refused_ones_do_not_count(site: Site) -> None:
    tags = [f"v1.{number}.0" for number in range(6)]
    for tag in tags[:5]:
        site.repository.release(tag, manifest={"rollout": {"observe": {"for": "0s"}}, "checks": {"latency": None}})
        site.deploy(tag)
    site.repository.release(tags[5], noise=0.5)
    site.deploy(tags[5], expect=1)
    site.run("prune")
    kept = {image.partition(":")[2].rpartition("-")[0] for image in site.images()}
    assert kept == {"v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0"}
    listed = site.run("rollback", "--list", "--json").document["targets"]
    how = {target["release"].rpartition("-")[0]: target["how"] for target in listed}
    # The standby is warm again once the refused candidate, which had taken its slot, is gone.
    assert how == {"v1.0.0": "gone", "v1.1.0": "image", "v1.2.0": "image", "v1.3.0": "warm"}
    assert "gone" in site.run("rollback", "--list").out
    assert "its image is gone" in site.run("rollback", "--to", "v1.0.0", expect=1).err
