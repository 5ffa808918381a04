"""YAML as people write it: its traps are closed, and its errors point at the place."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.document import plain, read
from release.errors import ManifestError


def env(manifest_of, text: str) -> dict[str, str]:
    return manifest_of(f"service: a\ncontainer:\n  port: 1\n  env:\n{text}").container.env


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("3.10", "3.10"),
        ("0755", "0755"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("0x1F", "0x1F"),
        ("1e3", "1e3"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("'true'", "true"),
        ("''", ""),
        ("!!str true", "true"),
        (".inf", ".inf"),
    ],
)
def test_values_of_env_are_the_text_that_was_written(manifest_of, written: str, read_as: str) -> None:
    assert env(manifest_of, f"    A: {written}\n") == {"A": read_as}


@pytest.mark.parametrize("written", ["true", "False", "TRUE"])
@pytest.mark.parametrize("where", ["container.env", "labels", "build.args"])
def test_booleans_in_text_are_refused_with_the_way_to_write_them(mistake_of, written: str, where: str) -> None:
    lines = {
        "container.env": f"service: a\ncontainer:\n  port: 1\n  env: {{A: {written}}}\n",
        "labels": f"labels: {{A: {written}}}\n",
        "build.args": f"build: {{args: {{A: {written}}}}}\n",
    }[where]
    assert f"{where}.A is the boolean {written}, and text is expected; quote it: A: '{written}'" in mistake_of(lines)


def test_an_empty_value_in_env_is_no_text(mistake_of) -> None:
    message = mistake_of("service: a\ncontainer:\n  port: 1\n  env:\n    A:\n")
    assert "line 5: container.env.A has no value; write ''" in message


def test_times_and_versions_are_not_numbers(manifest_of) -> None:
    manifest = manifest_of("freeze: [{from: 17:00, to: 22:30}]\nbuild: {wheelhouse: {requirements: r, python: 3.10}}\n")
    assert (manifest.freeze[0].from_, manifest.freeze[0].to) == ("17:00", "22:30")
    assert manifest.build.wheelhouse is not None
    assert manifest.build.wheelhouse.python == "3.10"


def test_words_for_yes_and_no_are_understood_where_a_boolean_is_meant(manifest_of) -> None:
    assert manifest_of("rollout: {rollback_barrier: yes}\n").rollout.rollback_barrier is True
    assert manifest_of("rollout: {rollback_barrier: off}\n").rollout.rollback_barrier is False


def test_numbers_in_a_command_are_words_of_it(manifest_of) -> None:
    manifest = manifest_of("service: a\ncontainer: {port: 1, command: [python, -m, app, --port, 5000, --rate, 1.50]}\n")
    assert manifest.container.command == ["python", "-m", "app", "--port", "5000", "--rate", "1.50"]


def test_free_form_json_keeps_its_types(manifest_of) -> None:
    manifest = manifest_of("checks: {warmup: {request: {json: {n: 1, f: 1.5, b: true, z: null, t: '1', l: [2]}}}}\n")
    assert manifest.checks.warmup.request is not None
    expected = {"n": 1, "f": 1.5, "b": True, "z": None, "t": "1", "l": [2]}
    assert manifest.checks.warmup.request.json_ == expected


def test_a_section_whose_lines_are_all_comments_has_its_defaults(manifest_of) -> None:
    manifest = manifest_of("proxy:\n  # listen: 80\nchecks:\n  quality:\n    # cases: x\n")
    assert manifest.proxy.listen == 8080
    assert manifest.checks.quality is None


def test_anchors_and_merges_are_followed(manifest_of) -> None:
    manifest = manifest_of(
        "x-env: &env {A: 1, B: 2}\nservice: a\ncontainer:\n  port: 1\n  env:\n    <<: *env\n    B: 3\nlabels: *env\n"
    )
    assert manifest.container.env == {"A": "1", "B": "3"}
    assert manifest.labels == {"A": "1", "B": "2"}


def test_an_anchor_within_itself_is_refused(mistake_of) -> None:
    assert "repeats itself" in mistake_of("service: a\ncontainer: &a {env: *a}\n")


def test_anchors_that_multiply_are_refused(mistake_of) -> None:
    lines = ["x-0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x-{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too much" in mistake_of("\n".join([*lines, "service: a"]))


def test_depth_beyond_reason_is_refused(mistake_of) -> None:
    assert "nested too deeply" in mistake_of("service: " + "[" * 3000 + "]" * 3000)


def test_a_key_given_twice_is_refused_with_both_lines(mistake_of) -> None:
    message = mistake_of("drain: 1s\nretain: 3\ndrain: 2s\n")
    assert "line 5: drain is given twice, first on line 3" in message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("service: a: b\n", 1, "quotes"),
        ("service: a\ncontainer:\n\tport: 1\n", 3, "never with tabs"),
        ("service: a\ncontainer: {port: 1\nretain: 3\n", 3, "brackets"),
        ("service: a\n---\nservice: b\n", 2, "one YAML document"),
        ('service: "a\n', 1, "quotes"),
    ],
)
def test_what_is_no_yaml_is_shown_with_line_column_and_snippet(mistake_of, text: str, line: int, words: str) -> None:
    message = mistake_of(text)
    assert f"release.yaml, line {line}, column" in message
    assert words in message
    assert "^" in message


def test_a_snippet_shows_references_as_written(mistake_of) -> None:
    message = mistake_of("service: a\nimage: {${NAME:-x,y}: :]\n")
    assert "${NAME:-x,y}" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("- service\n", "not a mapping"),
        ("service\n", "not a mapping"),
        ("service: !!python/name:os.system x\n", "means nothing here"),
        ("service: !secret x\n", "means nothing here"),
        ("? [a]\n: 1\n", "a key that is no text"),
        ("service: \x07\n", "control characters"),
    ],
)
def test_yaml_that_is_no_manifest_is_refused(mistake_of, text: str, words: str) -> None:
    if "service:" in text:
        text += "container: {port: 1}\n"
    with pytest.raises(ManifestError) as caught:
        from release.config.load import parse

        parse(text, "release.yaml", environ={})
    assert words in str(caught.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(-(10**15), 10**15) | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_plain_scalars_of_yaml_1_2_mean_what_they_say(value) -> None:
    written = yaml.safe_dump(value).splitlines()[0]
    assert plain(written) == value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        document = read(text, "release.yaml")
    except ManifestError:
        return
    assert isinstance(document.value, dict)
