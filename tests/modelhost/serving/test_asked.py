"""What follows from what was asked of a rollback, in a host alone as in a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from modelhost.errors import LoadFailed, MateMismatch, NoRoom, NothingStable, Refused
from modelhost.serving.asked import COMMITTED, Asked, first_fitting, left_by, stand_ins
from modelhost.serving.fallback import FALLBACK_VERSION

NOW = {"model": "3.0.0", "tokenizer": "3.0.0"}
ALONE = [{**NOW, "model": "2.0.0"}, {**NOW, "model": "1.0.0"}]
PAIRS = [dict.fromkeys(NOW, version) for version in ("2.0.0", "1.0.0")]


def targets(asked: Asked) -> Iterator[dict[str, str]]:
    return iter(PAIRS if asked.together or asked.component is None else ALONE)


def refusing(*versions: str, error: Exception | None = None) -> dict[str, Exception]:
    return {version: error or Refused(f"model {version} was changed") for version in versions}


def go(asked: Asked, refused: dict[str, Exception]) -> tuple[str | None, list[str]]:
    """The version of the model that it goes back to, and what was passed over."""

    def fit(target: dict[str, str]) -> str:
        if target["model"] in refused:
            raise refused[target["model"]]
        return target["model"]

    return first_fitting(asked, targets, fit, NOW, COMMITTED)


def test_it_goes_to_the_first_that_is_not_refused_and_says_what_it_passed_over() -> None:
    assert go(Asked("model"), {}) == ("2.0.0", [])
    assert go(Asked("model"), refusing("2.0.0")) == ("1.0.0", ["model 2.0.0 was changed"])
    assert go(Asked(), refusing("2.0.0", "1.0.0", error=LoadFailed("it broke"))) == (None, ["it broke", "it broke"])


def test_a_target_that_was_named_is_refused_for_its_own_reason() -> None:
    with pytest.raises(Refused, match=r"2\.0\.0 was changed"):
        go(Asked("model", to_version="2.0.0"), refusing("2.0.0"))
    with pytest.raises(MateMismatch, match="do not fit"):
        go(Asked(to_generation=2), refusing("2.0.0", error=MateMismatch("they do not fit")))


def test_what_does_not_pass_now_is_no_reason_to_go_further_back() -> None:
    with pytest.raises(NoRoom):
        go(Asked("model"), refusing("2.0.0", error=NoRoom("not now")))


def test_a_component_that_cannot_go_alone_says_what_would_go_with_it() -> None:
    apart = refusing("2.0.0", "1.0.0", error=MateMismatch("they do not fit"))
    with pytest.raises(MateMismatch) as refused:
        go(Asked("model"), apart)
    assert refused.value.hint == "with together=True these go back as one: model 3.0.0 → 2.0.0, tokenizer 3.0.0 → 2.0.0"
    with pytest.raises(NothingStable, match=r"no set that was committed fits model 2\.0\.0: passed over: they do not"):
        go(Asked("model", to_version="2.0.0", together=True), apart)


def test_where_nothing_that_served_fits_the_way_out_is_a_promotion() -> None:
    def none_together(asked: Asked) -> Iterator[dict[str, str]]:
        return iter([] if asked.together else ALONE)

    def misfit(target: dict[str, str]) -> str:
        raise MateMismatch("they do not fit")

    with pytest.raises(MateMismatch) as refused:
        first_fitting(Asked("model"), none_together, misfit, NOW)
    assert refused.value.hint == "no set that served fits; promote versions that fit together"


def test_fallbacks_stand_in_where_that_changes_anything() -> None:
    assert stand_ins(Asked(), NOW, ["model"], []) == ["model"]
    with pytest.raises(NothingStable, match=r"model: .* no fallback is declared: passed over: 2 is bad; 1 too"):
        stand_ins(Asked("model"), NOW, ["tokenizer"], ["2 is bad", "1 too"])
    with pytest.raises(NothingStable, match="its fallback serves already"):
        stand_ins(Asked("model"), {**NOW, "model": FALLBACK_VERSION}, ["model"], [])


def test_what_was_asked_for_is_left_for_good_and_neither_its_mates_nor_a_fallback() -> None:
    assert left_by(Asked(), NOW, PAIRS[0]) == NOW
    assert left_by(Asked("model", together=True), NOW, PAIRS[0]) == {"model": "3.0.0"}
    assert left_by(Asked(), {**NOW, "model": FALLBACK_VERSION}, ALONE[0]) == {}
