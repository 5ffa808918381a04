"""`release config show`: every value as it could be written, its origin, and no secret."""

from __future__ import annotations

from release.config.load import parse
from release.config.show import HIDDEN, given, rows

TEXT = """\
service: translator
registry: {password: ${PASSWORD}}
container:
  port: 5000
  env: {LOG_LEVEL: info, API_TOKEN: hunter2, DB: "postgres://u:hunter2@h/d"}
  secrets: {KEY: file:/etc/key}
  memory: 1536m
checks: {latency: {p95: 0.8}, warmup: {request: {headers: {authorization: hunter2, accept: text/plain},
    json: {api_key: hunter2, max_tokens: 5, in: [{password: hunter2}]}}}}
freeze: [{days: [fri], from: 17:00}]
notify: [${HOOK}, mailto://hunter2]
"""


def shown() -> dict[str, tuple[str, str]]:
    manifest, provenance = parse(TEXT, "release.yaml", environ={"PASSWORD": "hunter2", "HOOK": "slack://hunter2"})
    return {row.key: (row.value, row.origin) for row in rows(manifest, provenance)}


def test_values_are_shown_as_they_could_be_written() -> None:
    found = shown()
    assert found["container.memory"] == ("1536m", "release.yaml, line 7")
    assert found["checks.latency.p95"] == ("800ms", "release.yaml, line 8")
    assert found["rollout.observe.for"] == ("30m", "default")
    assert found["registry.push"] == ("false", "default")
    assert found["checks.quality"] == ("-", "default")
    assert found["container.secrets.KEY"][0] == "file:/etc/key"
    assert found["freeze"][0] == "{days: fri, from: 17:00, to: 24:00, reason: }"


def test_secrets_are_hidden() -> None:
    found = shown()
    assert "hunter2" not in str(found)
    assert found["registry.password"][0] == HIDDEN
    assert found["container.env.API_TOKEN"][0] == HIDDEN
    assert found["container.env.DB"][0] == HIDDEN
    assert found["notify"][0] == f"{HIDDEN}, {HIDDEN}"
    assert found["container.env.LOG_LEVEL"][0] == "info"
    assert found["checks.warmup.request.headers.accept"][0] == "text/plain"
    assert found["checks.warmup.request.json.max_tokens"][0] == "5"


def test_what_someone_set_can_be_told_from_defaults() -> None:
    manifest, provenance = parse("service: a\ncontainer: {port: 1}\n", "release.yaml", environ={})
    assert [row.key for row in given(rows(manifest, provenance))] == ["service", "container.port"]


def test_a_manifest_without_provenance_has_rows_too() -> None:
    manifest, _ = parse("service: a\ncontainer: {port: 1}\n", "release.yaml", environ={})
    assert {row.origin for row in rows(manifest)} == {""}
