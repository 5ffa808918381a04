"""`release models verify --url`: a running service says whether what it serves is what was published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelhost.http.roles import Role
from tests.cli.calling import Call
from tests.support.translating import Translating
from tests.support.versions import damaged

Start = Callable[..., Translating]


@pytest.fixture
def start(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Of a pair 1.0.0 serves and 1.1.0 is published beside it; the caller has an operator's token."""
    service = Translating(tmp_path / "service", paired=True)
    service.publish_pair("1.0.0", stable=True)
    service.publish_pair("1.1.0")
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", service.operator)

    def begin(**how: int) -> Translating:
        service.start(**how)  # type: ignore[arg-type]
        return service

    yield begin
    service.stop()


def versions(out: str) -> dict[str, tuple[str, list[str]]]:
    return {one["component"]: (one["version"], one["problems"]) for one in json.loads(out)["versions"]}


def test_without_a_component_all_that_serves_is_verified(call: Call, start: Start) -> None:
    running = start()
    for more in ((), ("--full",)):
        said = call("models", "verify", "--url", running.url, "--json", *more)
        assert said.code == 0, said.err
        found = json.loads(said.out)
        assert (found["ok"], found["service"], found["full"]) == (True, running.url, bool(more))
        assert versions(said.out) == {"translator": ("1.0.0", []), "vocabulary": ("1.0.0", [])}
    said = call("models", "verify", "--url", running.url)
    assert "✓ translator 1.0.0" in said.out and "✓ vocabulary 1.0.0" in said.out


def test_damage_of_what_serves_is_named_is_exit_code_1_and_it_serves_on(call: Call, start: Start) -> None:
    running = start()
    damaged(running.registry / "translator" / "1.0.0", "dictionary.json")
    said = call("models", "verify", "--url", running.url)
    assert said.code == 1, said.err
    assert "✗ translator 1.0.0\n    dictionary.json was changed" in said.out and "✓ vocabulary" in said.out
    assert running.serving == "1.0.0"


def test_one_component_and_one_version_can_be_named(call: Call, start: Start) -> None:
    running = start()
    damaged(running.registry / "translator" / "1.1.0", "dictionary.json")
    one = call("models", "verify", "vocabulary", "--url", running.url, "--json")
    assert one.code == 0 and versions(one.out) == {"vocabulary": ("1.0.0", [])}
    other = call("models", "verify", "translator", "v1.1.0", "--url", running.url, "--json")
    assert other.code == 1 and versions(other.out) == {"translator": ("1.1.0", ["dictionary.json was changed"])}


@pytest.mark.parametrize(("named", "lists"), [(["nobody"], "translator"), (["translator", "9.0.0"], "1.1.0")])
def test_what_is_not_there_is_a_wrong_call_that_lists_what_is(
    named: list[str], lists: str, call: Call, start: Start
) -> None:
    said = call("models", "verify", *named, "--url", start().url)
    assert said.code == 2 and lists in said.err


def test_a_token_of_too_small_a_role_is_told_which_role_it_takes(
    call: Call, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start()
    monkeypatch.setenv("RELEASE_MODELS_TOKEN", running.tokens[Role.VIEWER])
    said = call("models", "verify", "--url", running.url)
    assert said.code == 3 and "is a viewer, and this needs a" in said.err, said.err
    assert "RELEASE_MODELS_TOKEN" in said.err and "tokens add NAME ROLE" in said.err


def test_a_fallback_that_serves_is_told_of_and_is_no_damage(call: Call, start: Start, tmp_path: Path) -> None:
    running = start(wrong_without_any=1)
    for name in ("translator", "vocabulary"):
        shutil.rmtree(running.registry / name / "1.1.0", ignore_errors=True)
    assert running.host is not None
    running.host.rollback("translator", who="ann", reason="none is good")
    said = call("models", "verify", "--url", running.url, "--json")
    assert said.code == 0, said.err
    assert list(versions(said.out)) == ["vocabulary"] and "its fallback serves" in said.err


def test_the_service_of_a_manifest_that_names_no_registry_is_asked_and_a_registry_goes_first(
    call: Call, start: Start, tmp_path: Path
) -> None:
    running = start()
    manifest = tmp_path / "here" / "release.yaml"
    manifest.write_text(f'service: shop\ncontainer: {{port: 5000}}\nmodels: {{url: "{running.url}"}}\n')
    assert json.loads(call("models", "verify", "--json").out)["service"] == running.url
    manifest.write_text(manifest.read_text().replace('"}', f'", registry: "{running.registry}"}}'))
    asked = json.loads(call("models", "verify", "--json").out)
    assert asked["registry"] == str(running.registry) and len(asked["versions"]) == 4
    assert call("models", "verify", "--url", running.url, "--registry", str(running.registry)).code == 2
