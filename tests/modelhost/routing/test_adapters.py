"""Adapters: proven by their examples at start-up, found in chains, and leaving no new field through."""

from typing import Any

import pytest

from modelhost.errors import ConfigError, InvalidRequest, ModelHostError
from modelhost.routing.adapters import Adapter, Adapters
from modelhost.routing.examples import Example, difference


def down(answer: dict[str, Any]) -> dict[str, Any]:
    texts = answer.pop("texts")  # works on its argument, as careless functions do
    return {**answer, "translation": texts[0]}


V2 = {"texts": ["hello"], "model": "m", "alternatives": []}
V1 = {"translation": "hello", "model": "m"}
PAIR = Example({"texts": ["hello"], "model": "m"}, V1)


def named(source: str, target: str) -> Adapter:
    step = f"{source}>{target}"
    return Adapter(
        source,
        target,
        lambda answer: {"way": [*answer["way"], step]},
        (Example({"way": []}, {"way": [step]}),),
    )


def test_an_old_client_sees_no_new_field_and_the_answer_is_left_as_it_was() -> None:
    adapters = Adapters([Adapter("t/2", "t/1", down, (PAIR,))])
    answer = {"texts": ["hello"], "model": "m", "alternatives": ["hi"]}
    assert adapters.adapt(answer, "t/2", "t/1") == V1
    assert answer == {"texts": ["hello"], "model": "m", "alternatives": ["hi"]}


def kept(answer: dict[str, Any], *gives: dict[str, Any], fields: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What of an answer reaches a client whose shape these examples show, through a function that leaves all in."""
    examples = tuple(Example(each, each) for each in gives)
    return Adapters([Adapter("t/2", "t/1", lambda given: given, examples, fields)]).adapt(answer, "t/2", "t/1")


def test_no_new_field_is_seen_in_objects_within_objects_and_within_lists() -> None:
    example = {"text": "a", "meta": {"model": {"name": "m"}}, "spans": [{"from": 0}], "table": [[{"cell": 1}]]}
    answer = {
        "text": "b",
        "meta": {"model": {"name": "n", "engine": "e"}, "host": "h"},
        "spans": [{"from": 1, "to": 2}, {"to": 3}],
        "table": [[{"cell": 2, "note": "x"}], []],
    }
    assert kept(answer, example) == {
        "text": "b",
        "meta": {"model": {"name": "n"}},
        "spans": [{"from": 1}, {}],
        "table": [[{"cell": 2}], []],
    }
    assert answer["meta"] == {"model": {"name": "n", "engine": "e"}, "host": "h"}


def test_what_is_known_is_what_all_examples_and_all_items_show_between_them() -> None:
    one, other = {"meta": {"a": 1}, "spans": [{"x": 1}, {"y": None}]}, {"meta": {"b": {"c": 1}}, "spans": []}
    answer = {"meta": {"a": 1, "b": {"c": 2, "d": 3}, "e": 4}, "spans": [{"x": 1, "y": {"z": 1}, "w": 2}]}
    assert kept(answer, one, other) == {"meta": {"a": 1, "b": {"c": 2}}, "spans": [{"x": 1, "y": {"z": 1}}]}


def test_an_empty_object_in_any_example_says_that_its_keys_are_data() -> None:
    counts = {"counts": {"chinese": 2, "latin": {"upper": 1}}, "spans": [{"tags": {"new": 1}, "more": 1}]}
    assert kept(counts, {"counts": {}, "spans": [{"tags": {}}]}) == counts | {"spans": [{"tags": {"new": 1}}]}
    assert kept(counts, {"counts": {"chinese": 1}}, {"counts": {}}) == {"counts": counts["counts"]}


@pytest.mark.parametrize("nothing", [None, []])
def test_what_shows_nothing_leaves_anything_in_until_another_example_shows_more(nothing: object) -> None:
    answer = {"seen": [{"a": 1, "b": 2}]}
    assert kept(answer, {"seen": nothing}) == answer
    assert kept(answer, {"seen": nothing}, {"seen": [{"a": 1}]}) == {"seen": [{"a": 1}]}


def test_an_object_where_examples_have_text_shows_none_of_its_fields() -> None:
    assert kept({"text": {"new": 1}, "texts": ["a", {"new": 1}]}, {"text": "a", "texts": ["a"]}) == {
        "text": {},
        "texts": ["a", {}],
    }


def test_of_a_field_that_is_named_and_in_no_example_anything_goes() -> None:
    answer = {"a": {"x": 1, "y": 2}, "b": {"z": 1}, "c": 1}
    assert kept(answer, {"a": {"x": 1}}, fields=frozenset({"a", "b"})) == {"a": {"x": 1}, "b": {"z": 1}}


def test_a_shape_that_is_wanted_already_is_handed_on_untouched() -> None:
    answer = {"x": 1}
    assert Adapters().adapt(answer, "t/1", "t/1") is answer


def test_an_example_that_comes_out_otherwise_refuses_the_start_with_a_diff() -> None:
    wrong = Example({"texts": ["hello"], "model": "m"}, {"translation": "goodbye", "model": "m"})
    with pytest.raises(ConfigError) as refused:
        Adapters([Adapter("t/2", "t/1", down, (PAIR, wrong))])
    assert "example 2 of the adapter t/2 → t/1" in refused.value.message
    assert '-  "translation": "goodbye"' in refused.value.message
    assert '+  "translation": "hello"' in refused.value.message


def test_an_example_that_raises_refuses_the_start() -> None:
    with pytest.raises(ConfigError, match=r"example 1 of t/2 → t/1.*KeyError: 'texts'"):
        Adapters([Adapter("t/2", "t/1", down, (Example({}, V1),))])


def test_an_adapter_that_gives_no_object_refuses_the_start() -> None:
    broken: Any = lambda answer: None  # noqa: E731
    with pytest.raises(ConfigError, match="gave a NoneType"):
        Adapters([Adapter("t/2", "t/1", broken, (PAIR,))])


def test_an_adapter_without_an_example_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no example"):
        Adapter("t/2", "t/1", down, ())


def test_an_answer_that_the_examples_did_not_foresee_is_an_error_that_names_the_adapter() -> None:
    adapters = Adapters([Adapter("t/2", "t/1", down, (PAIR,))])
    with pytest.raises(ModelHostError, match="the adapter t/2 → t/1 failed: IndexError"):
        adapters.adapt({"texts": []}, "t/2", "t/1")


def test_the_shortest_chain_is_taken_where_no_direct_adapter_is() -> None:
    adapters = Adapters([named("t/4", "t/3"), named("t/3", "t/2"), named("t/2", "t/1"), named("t/4", "t/2")])
    assert adapters.adapt({"way": []}, "t/4", "t/1") == {"way": ["t/4>t/2", "t/2>t/1"]}
    assert [adapter.name for adapter in adapters.path("t/4", "t/2")] == ["t/4 → t/2"]


def test_there_and_back_is_no_ambiguity() -> None:
    adapters = Adapters([named("t/1", "t/2"), named("t/2", "t/1"), named("t/2", "t/3"), named("t/3", "t/2")])
    assert adapters.can("t/1", "t/3") and adapters.can("t/3", "t/1")
    assert len(adapters.path("t/3", "t/1")) == 2


def test_two_chains_of_one_length_are_refused_at_start_up_with_both_named() -> None:
    with pytest.raises(ConfigError) as refused:
        Adapters([named("a/1", "b/1"), named("a/1", "c/1"), named("b/1", "d/1"), named("c/1", "d/1")])
    assert "a/1 → b/1 → d/1 and a/1 → c/1 → d/1" in refused.value.message


def test_a_direct_adapter_settles_it() -> None:
    ways = [named("a/1", "b/1"), named("a/1", "c/1"), named("b/1", "d/1"), named("c/1", "d/1"), named("a/1", "d/1")]
    assert [adapter.name for adapter in Adapters(ways).path("a/1", "d/1")] == ["a/1 → d/1"]


def test_two_adapters_between_the_same_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="two adapters lead a/1 → b/1"):
        Adapters([named("a/1", "b/1"), named("a/1", "b/1")])


def test_an_adapter_from_a_shape_to_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match="leads nowhere"):
        Adapters([named("a/1", "a/1")])


def test_a_way_that_is_not_there_is_an_error_that_says_what_is() -> None:
    adapters = Adapters([named("t/2", "t/1")])
    assert not adapters.can("t/1", "t/2") and not adapters.can("x/1", "t/1")
    with pytest.raises(ConfigError, match="from t/2 there is t/1"):
        adapters.path("t/2", "t/9")


def up(asked: dict[str, Any]) -> dict[str, Any]:
    return {**asked, "texts": [asked["text"]]}


ASKED = Adapter("t/1", "t/2", up, (Example({"text": "hello"}, {"texts": ["hello"]}),), of="request")
ANSWERED = Adapter("t/2", "t/1", down, (PAIR,))


def test_an_old_request_reaches_a_new_model_and_its_answer_comes_back_in_the_old_shape() -> None:
    adapters = Adapters([ASKED, ANSWERED])
    assert adapters.can("t/2", "t/1")
    assert adapters.adapt_request({"text": "hello", "old": 1}, "t/1", "t/2") == {"texts": ["hello"]}
    assert adapters.adapt(dict(V2), "t/2", "t/1") == V1


def test_a_request_in_the_shape_of_the_model_is_handed_on_untouched() -> None:
    asked = {"texts": []}
    assert Adapters([ASKED]).adapt_request(asked, "t/2", "t/2") is asked


def test_shapes_of_which_no_request_adapter_speaks_are_asked_alike() -> None:
    adapters, asked = Adapters([ANSWERED]), {"text": "hello"}
    assert adapters.can("t/2", "t/1")
    assert adapters.adapt_request(asked, "t/1", "t/2") is asked


def test_a_version_whose_requests_nobody_can_bring_over_does_not_serve_that_client() -> None:
    answers = [ANSWERED, named("t/3", "t/2")]
    adapters = Adapters([*answers, ASKED])
    assert not adapters.can("t/3", "t/1")  # no request leads from t/1 to t/3
    assert not Adapters([ASKED]).can("t/2", "t/1")  # and here no answer comes back
    up_again = Adapter("t/2", "t/3", lambda asked: asked, (Example({"texts": []}, {"texts": []}),), of="request")
    chained = Adapters([*answers, ASKED, up_again])
    assert chained.can("t/3", "t/1")
    assert chained.adapt_request({"text": "x"}, "t/1", "t/3") == {"texts": ["x"]}


def test_a_request_that_an_adapter_cannot_read_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidRequest, match=r"cannot be read as t/1 \(KeyError: 'text'\)"):
        Adapters([ASKED]).adapt_request({}, "t/1", "t/2")


def test_the_examples_of_a_request_adapter_are_run_at_start_up_too() -> None:
    wrong = Adapter("t/1", "t/2", up, (Example({"text": "hello"}, {"texts": ["goodbye"]}),), of="request")
    with pytest.raises(ConfigError, match="t/1 → t/2 of requests comes out otherwise"):
        Adapters([wrong])


def test_true_and_one_differ_and_the_order_of_keys_does_not() -> None:
    assert difference({"a": 1, "b": 2}, {"b": 2, "a": 1}) == ""
    assert difference({"a": 1}, {"a": True}) != ""
