"""What would be refused in the middle of a deployment is refused by `config check` and named by `doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calling import Call

MANIFEST = "service: shop\nengine: {kind: process}\ncontainer: {port: 5000}\n"


def write(more: str) -> None:
    Path("release.yaml").write_text(MANIFEST + more)


@pytest.mark.parametrize("url", ["slack://s3cr3t", "s3cr3t-without-a-scheme", "foo://s3cr3t", "http://host/s3cr3t"])
def test_an_address_that_nobody_could_be_told_at_is_a_mistake_in_the_manifest(call: Call, url: str) -> None:
    write(f"notify:\n  - json://localhost:1/a\n  - '{url}'\n")
    said = call("config", "check")
    assert said.code == 2
    assert "release.yaml, line 4: notify.1 (" in said.err and "no address that apprise knows; write one" in said.err
    assert "s3cr3t" not in said.err + said.out


def test_addresses_that_apprise_knows_are_good(call: Call) -> None:
    write("notify: ['json://localhost:1/a', 'slack://AAAAAAAAA/BBBBBBBBB/cccccccccccccccccccccccc/#release']\n")
    assert call("config", "check").code == 0


def test_doctor_names_an_address_that_nobody_could_be_told_at(call: Call) -> None:
    write("notify: ['slack://s3cr3t']\n")
    said = call("doctor", "--json")
    found = [row for row in json.loads(said.out)["findings"] if row["about"] == "notify"]
    assert said.code == 3
    assert [(row["well"], row["text"][:25]) for row in found] == [(False, "notify.0 (slack://…) is n")]
    assert "s3cr3t" not in said.out


def test_names_that_nginx_cannot_take_are_told_with_the_key(call: Call) -> None:
    write("proxy: {server_name: 'a;b'}\n")
    said = call("config", "check")
    assert said.code == 2
    assert 'release.yaml, line 4: proxy.server_name is "a;b", no list of host names; write names' in said.err
