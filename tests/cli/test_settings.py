"""The options of every command, before its name or after it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from release.cli.settings import Settings, common, current
from tests.cli.calling import Call

MANIFEST = "service: shop\ncontainer: {port: 5000}\nslots: {blue: 8101, green: 8102}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-C", "shop", "--json", "--set", "proxy.listen=9090", "config", "show"),
        ("config", "-C", "shop", "--json", "--set", "proxy.listen=9090", "show"),
        ("config", "show", "-C", "shop", "--json", "--set", "proxy.listen=9090"),
        ("config", "show", "--json", "--set=proxy.listen=9090", "--manifest", "shop/release.yaml"),
    ],
)
def test_options_mean_the_same_before_and_after_the_command(call: Call, arguments: tuple[str, ...]) -> None:
    Path("shop").mkdir()
    Path("shop/release.yaml").write_text(MANIFEST)
    said = call(*arguments)
    rows = {row["key"]: row for row in json.loads(said.out)["values"]}
    assert rows["proxy.listen"] == {"key": "proxy.listen", "value": "9090", "origin": "--set proxy.listen"}
    assert rows["service"]["origin"] == "release.yaml, line 1"


def test_what_is_said_after_the_command_wins() -> None:
    seen: list[Settings] = []

    @click.group()
    @common
    def outer() -> None: ...

    @outer.command()
    @common
    @click.pass_context
    def inner(context: click.Context) -> None:
        seen.append(current(context))

    arguments = ["--service", "one", "--set", "a=1", "--set", "b=2", "inner", "--service", "two", "--set", "a=3", "-q"]
    outer.main(arguments, standalone_mode=False)
    assert (seen[0].service, seen[0].overrides, seen[0].quiet) == ("two", {"a": "3", "b": "2"}, True)


def test_paths_are_meant_from_the_folder_of_c(tmp_path: Path) -> None:
    settings = Settings(directory=tmp_path)
    assert settings.path("deep/release.yaml") == tmp_path / "deep" / "release.yaml"
    assert settings.path("/etc/release.yaml") == Path("/etc/release.yaml")
    assert settings.path(None) is None


def test_every_mistake_of_the_manifest_is_named_at_once(call: Call) -> None:
    Path("release.yaml").write_text("service: shop\ncontainer: {prt: 5000}\nslotz: {}\n")
    said = call("config", "check")
    assert said.code == 2
    assert "prt" in said.err and "slotz" in said.err
    assert said.out == ""


def test_the_schema_is_json_with_and_without_the_flag(call: Call) -> None:
    assert json.loads(call("config", "schema").out) == json.loads(call("config", "schema", "--json").out)
