"""What the others of a set come as, when it is promoted by its name."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from release.models.sets import bearers, followed


@dataclass(frozen=True)
class One:
    component: str
    version: str
    mates: dict[str, str] = field(default_factory=dict)
    status: str | None = "unstable"

    @property
    def digest(self) -> str:
        return f"{self.component}-{self.version}"


MEMBERS = ("encoder", "decoder")
SERVES = {"encoder": "1.0.0", "decoder": "1.0.0"}


def pairs(*versions: str, status: str = "unstable") -> list[One]:
    """The newest first, each decoder with a mate that it names: the second component names the first."""
    return [
        one
        for version in versions
        for one in (One("encoder", version), One("decoder", version, {"encoder": f"encoder-{version}"}, status))
    ]


def test_the_second_component_comes_as_the_newest_that_names_the_first() -> None:
    known = pairs("2.1.0", "2.0.0", "1.0.0")
    assert followed({"encoder": "2.0.0"}, MEMBERS, known, SERVES) == {"encoder": "2.0.0", "decoder": "2.0.0"}


def test_what_serves_stays_where_it_fits_though_there_is_a_newer_one() -> None:
    known = [One("encoder", "2.0.0"), One("decoder", "3.0.0"), One("decoder", "1.0.0"), One("encoder", "1.0.0")]
    assert followed({"encoder": "2.0.0"}, MEMBERS, known, SERVES) == {"encoder": "2.0.0"}
    nothing = {"encoder": None, "decoder": None}
    assert followed({"encoder": "2.0.0"}, MEMBERS, known, nothing) == {"encoder": "2.0.0", "decoder": "3.0.0"}


def test_what_was_rejected_does_not_come_and_what_nothing_fits_stays() -> None:
    known = [*pairs("2.0.0", status="rejected"), *pairs("1.0.0")]
    assert followed({"encoder": "2.0.0"}, MEMBERS, known, SERVES) == {"encoder": "2.0.0"}


def test_what_is_named_beside_it_goes_before_what_would_come() -> None:
    named = {"encoder": "2.0.0", "decoder": "2.0.0"}
    assert followed(named, MEMBERS, pairs("2.0.0", "1.0.0"), SERVES) == named


@pytest.mark.parametrize(("digest", "found"), [("encoder-1.0.0", ["1.0.0"]), ("encoder-0", [])])
def test_a_digest_is_borne_by_the_versions_that_have_it(digest: str, found: list[str]) -> None:
    assert bearers({"encoder": digest}, pairs("1.0.0")) == {"encoder": found}
