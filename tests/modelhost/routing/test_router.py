"""Which version answers: the order of what decides, what the public may name, what happens when one is gone."""

from collections.abc import Callable

import pytest

from modelhost.errors import InvalidRequest, Unavailable, Unknown
from modelhost.routing.choice import Why
from modelhost.routing.expression import compiled
from modelhost.routing.features import BUILT_IN
from modelhost.routing.offers import Offer, Offers
from modelhost.routing.request import RequestFacts, VerifiedRole
from modelhost.routing.router import ApiMajor, Router, Rule
from modelhost.routing.weights import WHOLE, Experiment, Variant

OFFERS = Offers(
    "translation",
    "1.2.0",
    {
        "1.1.0": Offer("1.1.0", "translation/1"),
        "1.2.0": Offer("1.2.0", "translation/1", resident=True),
        "1.3.0": Offer("1.3.0", "translation/1", routable=True),
        "2.0.0": Offer("2.0.0", "translation/2", resident=True),
    },
)
SHORT = Rule("short", compiled('text_length < 20 and user_role == "admin"', BUILT_IN), "1.3.0")
AB = Experiment("AB", (Variant("control", None, WHOLE // 2), Variant("treatment", "2.0.0", WHOLE // 2)))
ADMIN = VerifiedRole("admin", "ann")
FIRST, SECOND = ApiMajor("translation/1"), ApiMajor("translation/2")


def router(
    chance: float = 0.0,
    rules: tuple[Rule, ...] = (SHORT,),
    experiment: Experiment | None = AB,
    api: dict[int, ApiMajor] | None = None,
    unknown: str = "refuse",
    adaptable: Callable[[str, str], bool] = lambda have, want: have == want,
) -> Router:
    assert unknown in ("refuse", "default")
    return Router(
        lambda: chance, rules, experiment, api or {}, "default" if unknown == "default" else "refuse", adaptable
    )


def test_an_explicit_version_comes_before_everything() -> None:
    facts = RequestFacts(version="v2.0.0", role=ADMIN, features={"text_length": 3})
    choice = router().choose(facts, OFFERS)
    assert (choice.version, choice.why, choice.variant, choice.rule) == ("2.0.0", Why.EXPLICIT, "", "")


def test_an_api_major_with_a_version_comes_before_rules() -> None:
    facts = RequestFacts(api=2, role=ADMIN, features={"text_length": 3})
    choice = router(api={2: ApiMajor("translation/2", "2.0.0")}).choose(facts, OFFERS)
    assert (choice.version, choice.why, choice.shape) == ("2.0.0", Why.API, "translation/2")


def test_the_first_rule_that_matches_comes_before_weights() -> None:
    late = Rule("late", compiled("text_length > 0", BUILT_IN), "2.0.0")
    choice = router(rules=(SHORT, late)).choose(RequestFacts(role=ADMIN, features={"text_length": 3}), OFFERS)
    assert (choice.version, choice.why, choice.reason) == ("1.3.0", Why.RULE, "rule short")
    choice = router(rules=(SHORT, late)).choose(RequestFacts(role=ADMIN, features={"text_length": 30}), OFFERS)
    assert choice.reason == "rule late"


@pytest.mark.parametrize(("chance", "version", "label"), [(0.1, "1.2.0", "AB:control"), (0.9, "2.0.0", "AB:treatment")])
def test_weights_decide_where_no_rule_matches_and_name_the_variant(chance: float, version: str, label: str) -> None:
    choice = router(chance).choose(RequestFacts(features={"text_length": 3}), OFFERS)
    assert (choice.version, choice.why, choice.variant) == (version, Why.WEIGHT, label)
    assert choice.reason == f"weight {label}"


def test_a_key_gets_the_same_version_whatever_chance_says() -> None:
    versions = {router(chance / 10).choose(RequestFacts(key="ann"), OFFERS).version for chance in range(10)}
    assert len(versions) == 1


def test_the_default_serves_where_nothing_else_decides() -> None:
    choice = router(rules=(), experiment=None).choose(RequestFacts(), OFFERS)
    assert (choice.version, choice.why, choice.reason) == ("1.2.0", Why.DEFAULT, "default")


@pytest.mark.parametrize("name", ["stable", "latest", "default", "1.2.0", "v1.2.0"])
def test_the_default_can_be_asked_for_by_name_past_all_rules(name: str) -> None:
    facts = RequestFacts(version=name, role=ADMIN, features={"text_length": 3})
    choice = router(0.9).choose(facts, OFFERS)
    assert (choice.version, choice.why) == ("1.2.0", Why.EXPLICIT)


def test_a_version_that_nobody_may_name_says_what_makes_it_nameable() -> None:
    with pytest.raises(Unknown, match=r"translation 1\.1\.0 is not in memory, and not `routable`") as refused:
        router().choose(RequestFacts(version="1.1.0"), OFFERS)
    assert refused.value.hint.startswith("an operator loads it, or lists it as `routable`")
    assert refused.value.hint.endswith("there is 2.0.0, 1.3.0 (loads first), 1.2.0")


@pytest.mark.parametrize("version", ["9.9.9", "nonsense", "../../etc/passwd", "x" * 5000])
def test_a_version_that_is_not_there_is_a_404_that_lists_what_is(version: str) -> None:
    with pytest.raises(Unknown) as refused:
        router().choose(RequestFacts(version=version), OFFERS)
    assert refused.value.status == 404
    assert refused.value.hint == "there is 2.0.0, 1.3.0 (loads first), 1.2.0"
    assert len(str(refused.value)) < 300


def test_or_it_is_the_default_where_that_is_configured_and_the_choice_says_so() -> None:
    choice = router(unknown="default").choose(RequestFacts(version="9.9.9"), OFFERS)
    assert (choice.version, choice.why) == ("1.2.0", Why.DEFAULT)
    assert choice.passed_over == ("version '9.9.9' is not there",)


def test_a_rule_whose_version_is_gone_costs_nobody_an_answer() -> None:
    gone = Rule("gone", compiled("text_length > 0", BUILT_IN), "7.0.0")
    choice = router(rules=(gone,), experiment=None).choose(RequestFacts(features={"text_length": 3}), OFFERS)
    assert (choice.version, choice.why) == ("1.2.0", Why.DEFAULT)
    assert choice.passed_over == ("rule gone: version 7.0.0 is not there",)


def test_a_variant_whose_version_is_gone_is_not_counted_as_that_variant() -> None:
    gone = Experiment("AB", (Variant("treatment", "7.0.0", WHOLE),))
    choice = router(rules=(), experiment=gone).choose(RequestFacts(key="ann"), OFFERS)
    assert (choice.variant, choice.why) == ("", Why.DEFAULT)
    assert choice.passed_over == ("AB:treatment: version 7.0.0 is not there",)


def test_an_old_api_gets_its_shape_from_a_new_version_through_an_adapter() -> None:
    down = router(0.9, api={1: FIRST, 2: SECOND}, adaptable=lambda have, want: have == want or have > want)
    choice = down.choose(RequestFacts(api=1), OFFERS)
    assert (choice.version, choice.shape, choice.variant) == ("2.0.0", "translation/1", "AB:treatment")


def test_without_an_adapter_a_variant_of_another_shape_is_passed_over() -> None:
    choice = router(0.9, api={1: FIRST}).choose(RequestFacts(api=1), OFFERS)
    assert (choice.version, choice.shape) == ("1.2.0", "translation/1")
    assert choice.passed_over == ("AB:treatment: version 2.0.0 answers as translation/2, not as translation/1",)


def test_where_the_default_cannot_answer_in_the_apis_shape_the_newest_that_can_does() -> None:
    choice = router(rules=(), experiment=None, api={2: SECOND}).choose(RequestFacts(api=2), OFFERS)
    assert (choice.version, choice.why) == ("2.0.0", Why.API)


def test_a_version_that_nothing_leads_from_to_the_apis_shape_is_a_400_that_names_others() -> None:
    with pytest.raises(InvalidRequest) as refused:
        router(api={1: FIRST}).choose(RequestFacts(version="2.0.0", api=1), OFFERS)
    assert refused.value.hint == "ask for 1.3.0 or 1.2.0"


def test_a_shape_that_nobody_answers_in_is_a_400() -> None:
    with pytest.raises(InvalidRequest, match="no version of translation answers as speech/1"):
        router(rules=(), experiment=None, api={1: ApiMajor("speech/1")}).choose(RequestFacts(api=1), OFFERS)


def test_an_api_that_is_not_declared_is_a_404_that_lists_those_that_are() -> None:
    with pytest.raises(Unknown) as refused:
        router(api={2: SECOND, 1: FIRST}).choose(RequestFacts(api=3), OFFERS)
    assert refused.value.hint == "there is /v1, /v2"


def test_without_anything_that_serves_it_is_a_503() -> None:
    with pytest.raises(Unavailable):
        router(rules=(), experiment=None).choose(RequestFacts(), Offers("translation", None, {}))


def test_a_fallback_that_is_no_semver_serves_and_is_listed_last() -> None:
    offers = Offers(
        "t", "fallback", {"fallback": Offer("fallback", "t/1", resident=True), "1.0.0": Offer("1.0.0", "t/1", True)}
    )
    assert router(rules=(), experiment=None).choose(RequestFacts(), offers).version == "fallback"
    assert [offer.version for offer in offers.newest()] == ["1.0.0", "fallback"]


def test_a_default_that_is_not_among_the_versions_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match=r"9\.0\.0"):
        Offers("t", "9.0.0", {})
