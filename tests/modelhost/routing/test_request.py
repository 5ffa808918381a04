"""The facts of a request, and that a role comes from a verified token alone."""

import pytest

from modelhost.errors import InvalidRequest
from modelhost.routing.request import RequestFacts, VerifiedRole, api_major, explicit_version


@pytest.mark.parametrize("role", ["admin", {"name": "admin"}, 1])
def test_a_role_that_no_token_carries_is_no_role(role: object) -> None:
    with pytest.raises(TypeError):
        RequestFacts(role=role)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["user_role", "api"])
def test_a_role_cannot_come_in_as_a_feature(name: str) -> None:
    with pytest.raises(TypeError):
        RequestFacts(features={name: "admin"})


def test_rules_see_features_the_verified_role_and_the_api() -> None:
    facts = RequestFacts(api=2, role=VerifiedRole("admin", "ann"), features={"text_length": 3})
    assert facts.values() == {"text_length": 3, "user_role": "admin", "api": 2}
    assert RequestFacts().values() == {}


def test_facts_do_not_change_with_the_dictionary_they_came_from() -> None:
    features: dict[str, str | int | float | bool] = {"text_length": 3}
    facts = RequestFacts(features=features)
    features["text_length"] = 99
    assert facts.features["text_length"] == 3


@pytest.mark.parametrize(
    ("query", "header", "version"),
    [(None, None, None), ("", " ", None), ("1.2.0", None, "1.2.0"), (None, " 1.2.0 ", "1.2.0"), ("1.2", "1.2", "1.2")],
)
def test_the_version_comes_from_the_query_or_the_header(query: str, header: str, version: str | None) -> None:
    assert explicit_version(query, header) == version


@pytest.mark.parametrize(("query", "header"), [("1.2.0", "1.3.0"), ("x" * 1000, None)])
def test_two_versions_at_once_or_an_endless_one_are_a_400(query: str, header: str | None) -> None:
    with pytest.raises(InvalidRequest):
        explicit_version(query, header)


@pytest.mark.parametrize(
    ("path", "major"),
    [("/v1/translate", 1), ("/v12", 12), ("/v1", 1), ("/v0/x", None), ("/v1x/y", None), ("/translate/v1", None)],
)
def test_the_major_version_of_the_api_is_how_the_path_begins(path: str, major: int | None) -> None:
    assert api_major(path) == major
