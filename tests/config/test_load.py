"""Finding, reading and layering a manifest: file, environment, flags; every value knows where it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.config.load import load, parse
from release.config.origin import Source
from release.errors import ManifestError

TEXT = """\
service: translator
container:
  port: 5000
  env: {LOG_LEVEL: info}
checks:
  quality:
    cases: cases.jsonl
    request: {path: /translate, json: {text: "{source}"}}
    answer: translation
    metrics: {bleu: {floor: 15}}
"""


def test_the_nearest_manifest_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / "release.yaml").write_text(TEXT)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    loaded = load(None, start=deep, environ={})
    assert loaded.path == (tmp_path / "release.yaml").resolve()
    assert loaded.root == tmp_path.resolve()
    (tmp_path / "a" / "release.yaml").write_text(TEXT.replace("translator", "other"))
    assert load(None, start=deep, environ={}).manifest.service == "other"


def test_no_manifest_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="release init"):
        load(None, start=tmp_path, environ={})


def test_a_manifest_with_the_other_ending_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "release.yml").write_text(TEXT)
    with pytest.raises(ManifestError, match=r"rename release\.yml"):
        load(None, start=tmp_path, environ={})


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"service: \xff", "not UTF-8"), (b"#" * (2 << 20), "larger than 1 MB")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "release.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=words):
        load(path, start=tmp_path, environ={})


def test_a_device_without_an_end_is_refused_and_not_read_to_the_end(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="it is a device and no regular file"):
        load(Path("/dev/zero"), start=tmp_path, environ={})


def test_a_path_that_is_not_there_is_a_manifest_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="No such file"):
        load(tmp_path / "release.yaml", start=tmp_path, environ={})


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert load(path, start=tmp_path, environ={}).manifest.service == "translator"


def test_flags_go_before_the_environment_before_the_file_before_defaults() -> None:
    text = TEXT + "drain: 10s\nretain: 4\nstandby: cold\n"
    environ = {"RELEASE__DRAIN": "20s", "RELEASE__RETAIN": "5"}
    manifest, provenance = parse(text, "release.yaml", environ=environ, overrides={"drain": "30s"})
    assert (manifest.drain, manifest.retain, manifest.standby, manifest.slots.blue) == (30.0, 5, "cold", 8101)
    assert provenance["drain"].kind is Source.FLAG
    assert provenance["retain"].kind is Source.ENVIRONMENT
    assert provenance["standby"].kind is Source.FILE
    assert provenance["slots.blue"].kind is Source.DEFAULT
    assert str(provenance["standby"]) == "release.yaml, line 13"
    assert str(provenance["retain"]) == "RELEASE__RETAIN"
    assert str(provenance["drain"]) == "--set drain"


def test_every_leaf_has_an_origin() -> None:
    _, provenance = parse(TEXT, "release.yaml", environ={})
    assert {key for key, origin in provenance.items() if origin.kind is Source.FILE} == {
        "service",
        "container.port",
        "container.env.LOG_LEVEL",
        "checks.quality.cases",
        "checks.quality.request.path",
        "checks.quality.request.json.text",
        "checks.quality.answer",
        "checks.quality.metrics.bleu.floor",
    }
    assert "rollout.observe.for" in provenance


def test_overrides_reach_into_mappings_and_sections_that_the_file_lacks() -> None:
    environ = {
        "RELEASE__CONTAINER__ENV__LOG_LEVEL": "debug",
        "RELEASE__CONTAINER__ENV__NEW__NAME": "1",
        "RELEASE__CHECKS__QUALITY__METRICS__BLEU__FLOOR": "20",
        "RELEASE__CHECKS__LATENCY__P95": "1s",
    }
    overrides = {"labels.com.example.team": "mt", "container.volumes": "[/a:/b:ro, /c:/d]"}
    manifest, _ = parse(TEXT, "release.yaml", environ=environ, overrides=overrides)
    assert manifest.container.env == {"LOG_LEVEL": "debug", "NEW__NAME": "1"}
    assert manifest.labels == {"com.example.team": "mt"}
    assert manifest.container.volumes == ("/a:/b:ro", "/c:/d")
    assert manifest.checks.quality is not None
    assert manifest.checks.quality.metrics["bleu"].floor == 20.0
    assert manifest.checks.latency is not None
    assert manifest.checks.latency.p95 == 1.0


def test_text_from_an_override_is_taken_as_it_is() -> None:
    overrides = {"container.env.A": "true", "container.env.B": "${HOME}", "title": "[draft]", "image": "a/b"}
    manifest, _ = parse(TEXT, "release.yaml", environ={}, overrides=overrides)
    assert manifest.container.env == {"LOG_LEVEL": "info", "A": "true", "B": "${HOME}"}
    assert (manifest.title, manifest.image) == ("[draft]", "a/b")


def test_an_override_of_one_key_leaves_another_that_shares_its_anchor_alone() -> None:
    text = TEXT + "x-request: &r {path: /a}\n"
    text = text.replace("request: {path: /translate", "request: {path: /t").replace(
        "metrics:", "anchor: null\n    metrics:"
    )
    text += "labels: {}\n"
    text = text.replace("checks:\n", "checks:\n  warmup: {request: *r}\n  latency: {request: *r}\n")
    text = text.replace("x-request: &r {path: /a}\n", "")
    manifest, _ = parse(
        "x-request: &r {path: /a}\n" + text, "release.yaml", environ={}, overrides={"checks.latency.request.path": "/b"}
    )
    assert manifest.checks.latency is not None
    assert manifest.checks.latency.request is not None
    assert manifest.checks.warmup.request is not None
    assert (manifest.checks.latency.request.path, manifest.checks.warmup.request.path) == ("/b", "/a")


def test_other_variables_that_begin_with_release_are_no_overrides() -> None:
    manifest, _ = parse(TEXT, "release.yaml", environ={"RELEASE_STATE": "/x", "RELEASE__": "y"})
    assert manifest.service == "translator"
