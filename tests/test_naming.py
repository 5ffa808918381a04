"""Names hold what other systems demand of them: SemVer, image references, container names, nginx variables."""

from __future__ import annotations

import re
import string

import pytest
import semver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release import naming

IMAGE_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
NGINX_VARIABLE = re.compile(r"[A-Za-z0-9_]+")

numbers = st.integers(0, 10**12).map(str)
identifiers = st.one_of(
    numbers,
    st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=12).filter(
        lambda text: not text.isdigit() or text == "0" or not text.startswith("0")
    ),
)
tags = st.builds(
    lambda core, pre: "v" + ".".join(core) + ("-" + ".".join(pre) if pre else ""),
    st.tuples(numbers, numbers, numbers),
    st.lists(identifiers, max_size=3),
).filter(lambda tag: len(tag) <= 100)
# Near misses: text over the grammar's own alphabet, with what regular expressions are known to let through.
near_tags = st.text("v.-+0129ab\n ٣", max_size=24) | tags.flatmap(
    lambda tag: st.sampled_from([tag + "\n", " " + tag, tag + "+build", tag[1:], "v" + tag, tag + ".", tag + "-"])
)
commits = st.text("0123456789abcdef", min_size=40, max_size=40)
services = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?", fullmatch=True)


def semver_accepts(tag: str) -> bool:
    text = tag.removeprefix("v")
    return tag.startswith("v") and "+" not in text and text.isascii() and semver.Version.is_valid(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tags)
def test_every_semver_tag_is_read_and_written_back(tag: str) -> None:
    version = naming.parse_tag(tag)
    assert version is not None
    assert version.tag == tag
    reference = semver.Version.parse(tag[1:])
    assert (version.major, version.minor, version.patch) == reference.to_tuple()[:3]
    assert version.pre == (reference.prerelease or "")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(near_tags)
def test_the_tag_grammar_agrees_with_the_semver_library(text: str) -> None:
    assert (naming.parse_tag(text) is not None) == (semver_accepts(text) and not text.endswith("\n"))


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "v1.2", "v1.2.3\n", "v٣.0.0", "v01.2.3", "v1.2.3-01", "v1.2.3+b1", "V1.2.3", "v1.2.3-"]
)
def test_what_is_no_tag_is_not_taken_for_one(text: str) -> None:
    assert naming.parse_tag(text) is None


def test_a_tag_too_long_for_an_image_is_none() -> None:
    assert naming.parse_tag("v1.0.0-" + "a" * 93) is not None
    assert naming.parse_tag("v1.0.0-" + "a" * 94) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tags, commits)
def test_release_names_round_trip_with_seven_digits_of_the_commit(tag: str, commit: str) -> None:
    name = naming.ReleaseName(tag, commit)
    assert name.sha7 == commit[:7]
    read = naming.parse_release(str(name))
    assert read == naming.ReleaseName(tag, commit[:7])
    assert str(read) == str(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tags, commits)
def test_release_names_are_image_tags(tag: str, commit: str) -> None:
    assert IMAGE_TAG.fullmatch(str(naming.ReleaseName(tag, commit)))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("v1.2.0-abc1234", "v1.2.0"),
        ("v1.2.1-rc.1-abc1234", "v1.2.1-rc.1"),
        ("v1.2.1-fix-parsing-bug-0123456", "v1.2.1-fix-parsing-bug"),
        ("v1.2.0-abc1234-def5678", "v1.2.0-abc1234"),
    ],
)
def test_the_last_seven_digits_are_the_commit(text: str, tag: str) -> None:
    name = naming.parse_release(text)
    assert name is not None
    assert name.tag == tag


@pytest.mark.parametrize("text", ["v1.2.0", "v1.2.0-abc123", "v1.2.0-ABC1234", "v1.2.0-abc1234\n", "1.2.0-abc1234"])
def test_what_is_no_release_name_is_not_taken_for_one(text: str) -> None:
    assert naming.parse_release(text) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tags, st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_snapshot_is_a_tag_too(tag: str, digest: str) -> None:
    base = naming.parse_tag(tag)
    assert base is not None
    snapshot = naming.snapshot_tag(base, digest)
    version = naming.parse_tag(snapshot)
    assert version is not None
    assert "snapshot" in version.pre
    assert digest[:11] in snapshot


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(services, st.none() | services)
def test_scopes_are_repositories_and_container_names(service: str, environment: str | None) -> None:
    scope = naming.scope(service, environment)
    assert REPOSITORY.fullmatch(scope)
    name = naming.container_name(scope, naming.Slot.BLUE, "v1.2.0-abc1234", "d1")
    assert CONTAINER_NAME.fullmatch(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_service_names_are_as_narrow_as_repositories(text: str) -> None:
    if naming.valid_service(text):
        assert REPOSITORY.fullmatch(text)
        assert len(text) <= 50


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("ab-_.5Af", max_size=8), st.text("ab-_.5Af", max_size=8))
def test_distinct_scopes_have_distinct_nginx_variables_though_nginx_ignores_case(one: str, other: str) -> None:
    first, second = naming.nginx_identifier(one), naming.nginx_identifier(other)
    assert NGINX_VARIABLE.fullmatch(first)
    assert (first.lower() == second.lower()) == (one == other)


def test_slots_are_each_other_s_other() -> None:
    assert [slot.other for slot in naming.Slot] == [naming.Slot.GREEN, naming.Slot.BLUE]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_a_name_is_echoed_on_one_short_line(text: str) -> None:
    echo = naming.echoed(text)
    assert echo.strip() == echo != "" and echo.isprintable()
    assert len(naming.shortened(text)) <= 80
