"""Instants that no row of the journal marks, and commands that meet a dead run: what they must not take."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from tests.support.faults import (
    FAST,
    containers,
    deploy_killed_at,
    deployed,
    last_deployment,
    rows,
    served,
    two_releases,
)
from tests.support.ports import free_ports
from tests.support.site import Site

pytestmark = pytest.mark.docker


def forget_switch(site: Site, run: str) -> None:
    """The ledger as it is where a process died between the rename and the record of it."""
    with contextlib.closing(sqlite3.connect(site.state / site.scope / "ledger.db", timeout=30)) as connection:
        connection.execute("DELETE FROM switches WHERE deployment = ?", (run,))
        forgetting = "UPDATE deployments SET facts = json_remove(facts, '$.switched_at', '$.microseconds') WHERE id = ?"
        connection.execute(forgetting, (run,))
        connection.commit()


def test_killed_between_the_switch_and_its_record_the_ledger_learns_of_it_when_the_run_is_settled(site: Site) -> None:
    two_releases(site)
    run = deploy_killed_at(site, "v1.2.0", "observe", "started")
    forget_switch(site, run)
    site.run("doctor", "--mend", expect=None)
    assert "the ledger does not know it" not in site.run("doctor", expect=None).out
    assert rows(site, "SELECT reason FROM switches WHERE deployment = ?", run) == [("deploy",)]
    assert "v1.1.0" in site.run("rollback").out
    assert str(site.live).startswith("v1.1.0-")


def test_a_deployment_whose_switch_was_never_recorded_is_taken_back_by_a_bare_rollback_once_doctor_mended_it(
    site: Site,
) -> None:
    two_releases(site)
    forget_switch(site, last_deployment(site))
    assert "the ledger does not know it" in site.run("doctor", expect=3).out
    assert "v1.1.0" in site.run("doctor", "--mend").out
    site.run("rollback")
    assert str(site.live).startswith("v1.0.0-")


def test_prune_settles_a_dead_run_first_and_leaves_the_standby_that_it_displaced(site: Site) -> None:
    two_releases(site)
    before = containers(site)
    deploy_killed_at(site, "v1.2.0", "start", "done")
    told = site.run("prune").err
    assert "it is undone" in told
    assert containers(site) == before
    assert site.status()["takes"].startswith("warm")


def test_a_first_deployment_that_fails_leaves_the_proxy_that_a_person_put_up(site: Site) -> None:
    site.repository.release("v1.0.0", health=500, manifest=FAST | {"checks": {"health": {"timeout": "1s"}}})
    site.run("proxy", "install")
    site.deploy("v1.0.0", expect=1)
    site.run("proxy", "status")


def test_a_manifest_that_moves_the_live_slot_to_another_port_is_refused_and_live_serves_on(site: Site) -> None:
    site.repository.release("v1.0.0", manifest=FAST)
    deployed(site, "v1.0.0")
    was = site.repository.manifest["slots"]["blue"]
    blue, green = free_ports(2)
    both = {"slots": {"blue": blue, "green": green}}
    site.repository.release("v1.1.0", manifest=both)
    with served(site):
        refused = site.deploy("v1.1.0", expect=3)
        assert "slots.blue" in refused.err and "slots.green may change" in refused.err
    site.repository.release("v1.2.0", manifest={"slots": {"blue": was, "green": green}})
    deployed(site, "v1.2.0")  # a port that changes means a reload, which may cost a request
    assert str(site.live).startswith("v1.2.0-")


def test_an_image_that_was_only_built_has_no_say_in_where_a_rollback_looks(site: Site) -> None:
    two_releases(site)
    blue, green = free_ports(2)
    site.repository.release("v1.3.0", manifest={"slots": {"blue": blue, "green": green}})
    site.run("build", "v1.3.0")
    assert site.run("rollback", "--json").document["data"]["warm"] is True
    assert str(site.live).startswith("v1.0.0-")
