"""`release doctor` on a host where nothing was deployed yet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.calling import Call, Said
from tests.support.ports import free_port


def examined(call: Call, command: str, *more: str) -> Said:
    blue, green, listen, admin = (free_port() for _ in range(4))
    Path("release.yaml").write_text(
        "service: shop\nengine: {kind: process}\ncontainer: {port: 5000}\n"
        f"slots: {{blue: {blue}, green: {green}}}\n"
        f"proxy: {{listen: {listen}, admin: {admin}, command: [{command}]}}\n"
    )
    return call("doctor", *more)


def proxy(said: Said) -> list[dict[str, Any]]:
    return [row for row in json.loads(said.out)["findings"] if row["about"] == "proxy"]


def test_before_the_first_deployment_nothing_is_wrong_with_an_nginx_that_deploy_will_set_up(call: Call) -> None:
    said = examined(call, "nginx", "--json")
    first, *_ = found = proxy(said)
    assert all(row["well"] for row in found)
    assert "not set up for this service: the first `release deploy`" in first["text"]
    assert said.code == 0


def test_a_host_without_nginx_is_told_how_to_install_it(call: Call) -> None:
    said = examined(call, "nginx-is-not-here", "--json")
    (row,) = proxy(said)
    assert (said.code, row["well"]) == (3, False)
    assert row["text"].startswith("there is no nginx-is-not-here on this host")
    assert "apt-get install nginx-light" in row["mend"] and "proxy.command" in row["mend"]


def test_what_is_missing_stands_with_its_mend_under_it(call: Call) -> None:
    lines = examined(call, "nginx-is-not-here").out.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("✗ proxy"))
    assert lines[at + 1].strip() == "→ sudo apt-get install nginx-light"
