"""`${NAME}` in values: filled in, escaped, missed; anywhere YAML lets a value stand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from release.config.variables import Missing, expand, shield, unshield

ENVIRON = {"A": "1", "EMPTY": "", "URL": "slack://a, b: [c]#d", "PORT": "9090"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${NONE:-2}", "2"),
        ("${EMPTY:-2}", "2"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("$${A}", "${A}"),
        ("$A $1 $ ${A}", "$A $1 $ 1"),
        ("${URL}", "slack://a, b: [c]#d"),
        ("${NONE:-a:-b}", "a:-b"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    assert expand(text, ENVIRON) == filled


@pytest.mark.parametrize(("text", "name"), [("${NONE}", "NONE"), ("${a b}", None), ("${", None), ("${1A}", None)])
def test_what_cannot_be_filled_in_says_why(text: str, name: str | None) -> None:
    with pytest.raises(Missing) as caught:
        expand(text, ENVIRON)
    assert caught.value.name == name


def test_a_missing_variable_names_key_and_variable(mistake_of) -> None:
    message = mistake_of("registry: {username: ${WHO}}\nimage: ${a b}\n")
    assert "line 3: registry.username needs the environment variable WHO, which is not set" in message
    assert "line 4: image holds a `${` that is no variable" in message


def test_a_variable_stands_in_lists_and_mappings_in_brackets(manifest_of) -> None:
    manifest = manifest_of(
        "notify: [${URL}, ${NONE:-}, 'mailto://x']\nregistry: {username: ${A}, password: ${NONE:-a, b: c}}\n",
        environ=ENVIRON,
    )
    assert manifest.notify == ("slack://a, b: [c]#d", "mailto://x")
    assert (manifest.registry.username, manifest.registry.password) == ("1", "a, b: c")


def test_a_variable_gives_numbers_booleans_and_nothing_where_those_are_meant(manifest_of) -> None:
    manifest = manifest_of(
        "proxy: {listen: ${PORT}}\nrollout: {rollback_barrier: ${YES:-true}}\nregistry: {username: ${NONE:-}}\n",
        environ=ENVIRON,
    )
    assert (manifest.proxy.listen, manifest.rollout.rollback_barrier, manifest.registry.username) == (9090, True, None)


def test_a_variable_never_becomes_yaml(manifest_of) -> None:
    manifest = manifest_of("title: ${T}\n", environ={"T": "a\nservice: evil\nb: {c: [d]}"})
    assert manifest.title == "a\nservice: evil\nb: {c: [d]}"
    assert manifest.service == "translator"


def test_what_comes_out_empty_is_not_given_with_or_without_quotes(manifest_of) -> None:
    manifest = manifest_of("registry: {username: '${NONE:-}', password: ${NONE:-}}\nnotify: ['${NONE:-}', ${NONE:-}]\n")
    assert (manifest.registry.username, manifest.registry.password, manifest.notify) == (None, None, ())


def test_a_boolean_from_a_variable_in_env_is_its_text(manifest_of) -> None:
    text = "service: a\ncontainer: {port: 1, env: {DEBUG: ${D}, E: ${EMPTY}, Q: '${D}'}}\n"
    manifest = manifest_of(text, environ={"D": "true", "EMPTY": ""})
    assert manifest.container.env == {"DEBUG": "true", "E": "", "Q": "true"}


def test_references_in_comments_are_left_alone(manifest_of) -> None:
    assert manifest_of("# ${NONE} and ${\ntitle: a # ${NONE}\n").title == "a"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text("${}A:-,[]# \n'\"", max_size=40))
def test_shielding_keeps_every_column_and_comes_back(text: str) -> None:
    assert len(shield(text)) == len(text)
    assert unshield(shield(text)) == text
    assert shield(text).count("\n") == text.count("\n")
