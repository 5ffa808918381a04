"""What the ledger keeps of a manifest: enough to start the release as it was, and no secret."""

from __future__ import annotations

import json

import pytest

from release.config.stored import from_ledger, missing_variables, to_ledger
from release.errors import ManifestError

FULL = """\
service: translator
environment: production
image: registry.example.com/team/translator
registry: {push: true, username: ${REG_USER}, password: ${REG_PASSWORD}}
container:
  port: 5000
  command: [serve, --db, "${DATABASE}"]
  env: {LOG_LEVEL: "${LEVEL}", API_TOKEN: "${TOKEN}", DATABASE: "${DATABASE}", DB_PASS: "${TOKEN}", N: 3.10}
  secrets: {KEY: file:/etc/key}
  memory: 1.5g
  stop_timeout: 1500ms
build: {args: {PIP_TOKEN: "${TOKEN}"}}
checks:
  warmup: {request: {headers: {Authorization: "Bearer ${TOKEN}"}}}
  quality: {cases: c, answer: a, metrics: {ter: {ceiling: 90}}, request: {json: {text: "{source}",
      apiKey: "${TOKEN}", "a.b": [{token: "${TOKEN}"}]}}}
rollout: {observe: {for: 0.1234567s}}
freeze: [{days: [fri], from: 17:00}]
notify: [${HOOK}, json://plain]
"""
ENVIRON = {
    "REG_USER": "robot",
    "REG_PASSWORD": "hunter2",
    "LEVEL": "debug",
    "TOKEN": "tok-hunter2",
    "DATABASE": "postgres://app:hunter2@db/app",
    "HOOK": "slack://hunter2",
}


def stored(manifest) -> dict:
    """As it comes back from SQLite."""
    return json.loads(json.dumps(to_ledger(manifest)))


def test_a_manifest_comes_back_as_it_was(manifest_of) -> None:
    manifest = manifest_of(FULL.replace(", json://plain", ""), environ=ENVIRON)
    assert from_ledger(stored(manifest), ENVIRON) == manifest
    assert stored(from_ledger(stored(manifest), ENVIRON)) == stored(manifest)
    assert manifest.rollout.observe.for_ == 0.1234567


def test_no_secret_is_kept(manifest_of) -> None:
    text = json.dumps(stored(manifest_of(FULL, environ=ENVIRON)))
    assert "hunter2" not in text
    assert "json://plain" not in text
    assert "${REG_PASSWORD}" in text
    assert "debug" in text  # what is no secret is kept as it was


def test_secrets_given_by_flag_or_environment_are_not_kept_either(manifest_of) -> None:
    environ = {"RELEASE__REGISTRY__PASSWORD": "hunter2", "RELEASE__NOTIFY": "[slack://hunter2]"}
    flags = {"container.env.API_KEY": "hunter2"}
    manifest = manifest_of("", environ=environ, flags=flags)
    assert manifest.registry.password == "hunter2"
    assert manifest.notify == ("slack://hunter2",)
    kept = stored(manifest)
    assert "hunter2" not in json.dumps(kept)
    assert from_ledger(kept, environ).registry.password == "hunter2"
    assert from_ledger(kept, environ).notify == ("slack://hunter2",)
    assert missing_variables(kept, environ) == ["container.env.API_KEY: was given by a flag and is not kept"]


def test_secrets_within_a_mapping_from_the_environment_are_not_kept(manifest_of) -> None:
    manifest = manifest_of("", environ={"RELEASE__CONTAINER__ENV": "{API_KEY: hunter2, LEVEL: debug}"})
    kept = stored(manifest)
    assert manifest.container.env == {"API_KEY": "hunter2", "LEVEL": "debug"}
    assert kept["container"]["env"] == {"API_KEY": "", "LEVEL": "debug"}


def test_without_the_environment_the_rest_is_usable_and_what_is_missing_is_named(manifest_of) -> None:
    kept = stored(manifest_of(FULL, environ=ENVIRON))
    manifest = from_ledger(kept)
    assert manifest.registry.password is None
    assert manifest.notify == ()
    assert manifest.container.env["LOG_LEVEL"] == "debug"
    assert manifest.container.env["API_TOKEN"] == ""
    assert missing_variables(kept, {"TOKEN": "x", "DATABASE": "y"}) == [
        "registry.password: REG_PASSWORD is not set",
        "notify.0: HOOK is not set",
    ]
    assert missing_variables(kept, ENVIRON) == []


def test_todays_environment_changes_secrets_only(manifest_of) -> None:
    kept = stored(manifest_of(FULL, environ=ENVIRON))
    later = from_ledger(kept, {**ENVIRON, "LEVEL": "error", "TOKEN": "new"})
    assert later.container.env["LOG_LEVEL"] == "debug"
    assert later.container.env["API_TOKEN"] == "new"


def test_the_stored_form_survives_another_version_of_this_tool(manifest_of) -> None:
    kept = stored(manifest_of())
    kept["invented"] = 1
    kept["proxy"]["invented"] = {"a": 1}
    del kept["proxy"]["max_body"]
    assert from_ledger(kept) == manifest_of()


def test_a_stored_form_that_is_damaged_says_what_to_do() -> None:
    with pytest.raises(ManifestError, match="deploy the tag again"):
        from_ledger({"service": "a", "container": {"port": "x"}})
