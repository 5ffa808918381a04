"""Rules: what they match, what is refused when they are read, and what an attacker's rule can do (nothing)."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.errors import ConfigError
from modelhost.routing.expression import LONGEST, compiled
from modelhost.routing.features import BUILT_IN, Kind, declared

FEATURES = declared({"tenant": Kind.TEXT, "beta": Kind.FLAG, "score": Kind.NUMBER})
FULL = {"text_length": 12, "user_role": "admin", "language": "zh", "tenant": "acme", "beta": True, "score": 0.5}


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ('text_length < 20 and user_role == "admin"', True),
        ('text_length < 20 and user_role == "viewer"', False),
        ("10 <= text_length < 13", True),
        ('language in ["zh", "ja"]', True),
        ('language not in ("en", "de")', True),
        ('"cm" in tenant', True),
        ("beta", True),
        ("not beta or score * 2 + 1 >= 2", True),
        ("beta == false", False),
        ("text_length % 5 == 2 and -score < 0", True),
        ("text_length // (score - 0.5) > 1", False),
        ('  text_length == 12 and (tenant != "other")  ', True),
    ],
)
def test_a_rule_holds_or_does_not(rule: str, matches: bool) -> None:
    assert compiled(rule, FEATURES).matches(FULL) is matches


@pytest.mark.parametrize(
    "rule",
    ['language != "zh"', 'not (language == "zh")', 'text_length > 0 or language == "zh"', 'language not in ["zh"]'],
)
def test_a_rule_that_names_a_missing_feature_never_matches(rule: str) -> None:
    assert not compiled(rule, FEATURES).matches({"text_length": 12})


@pytest.mark.parametrize(
    "rule",
    [
        '__import__("os").system("true")',
        "().__class__.__bases__[0].__subclasses__()",
        "text_length.__class__ == 1",
        "tenant.upper() == 'ACME'",
        "tenant[0] == 'a'",
        "9 ** 9 ** 9 ** 9 > 1",
        "1 << 999999999 > 1",
        "tenant * 99999999 == tenant",
        "'a' * 99999999 == tenant",
        "tenant + tenant == tenant",
        "'%99999999d' % text_length == tenant",
        "f'{tenant:>99999999}' == tenant",
        "[x for x in tenant] == tenant",
        "(lambda: beta)()",
        "(y := 1) == 1",
        "beta if beta else beta",
        "{'a': 1} == tenant",
        "{**tenant}",
        "await beta",
        "~text_length == 1",
        "text_length | 1 == 1",
        "beta is True",
        "tenant in [tenant]",
        "[1] == [1]",
        "None == tenant",
        "b'a' == tenant",
        "1j == score",
        "... == score",
        "1e999 > score",
        "99999999999999999999 > score",
        "9" * 900 + " > score",
        "(" * 400 + "beta" + ")" * 400,
        "not " * 240 + "beta",
        "-" * 900 + "1 == score",
        "1<1 or " * 140 + "beta",
        "tenant == '" + "a" * 500 + "'",
        "beta or " * 100_000 + "beta",
        "beta; beta",
        "beta\nimport os",
        "import os",
        "beta\0",
        "beta = True",
        "",
        "   ",
    ],
)
def test_what_is_no_plain_rule_is_refused_when_it_is_read(rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compiled(rule, FEATURES)
    assert refused.value.hint
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("text_length < '20'", "compares a number with a text"),
        ("text_length", "true or false, and this is a number"),
        ("text_length and beta", "this is a number"),
        ("tenant < 5", "a text with a number"),
        ("beta < true", "no order"),
        ("text_length in [1, 'a']", "literals of one kind, number"),
        ("1 in tenant", "a number with a text"),
        ("score + beta > 1", "calculates with numbers"),
    ],
)
def test_kinds_that_do_not_go_together_are_refused(rule: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compiled(rule, FEATURES)


def test_an_unknown_name_is_refused_with_its_column_the_nearest_and_all_valid_ones() -> None:
    with pytest.raises(ConfigError) as refused:
        compiled('"é" == language and textlength < 20', BUILT_IN)
    assert "no feature 'textlength' (column 21" in refused.value.message
    assert "did you mean text_length?" in refused.value.hint
    assert all(name in refused.value.hint for name in BUILT_IN)


@pytest.mark.parametrize("name", ["user_role", "and", "Text", "__class__", "a b", ""])
def test_a_feature_cannot_take_a_name_that_is_taken_or_no_word(name: str) -> None:
    with pytest.raises(ConfigError):
        declared({name: Kind.TEXT})


def test_threads_that_share_a_rule_see_their_own_values_only() -> None:
    rule = compiled("text_length % 2 == 0 and text_length == score", FEATURES)
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(300):
            if rule.matches({"text_length": number, "score": number}) is not (number % 2 == 0):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


_ATOMS = st.sampled_from(["text_length", "user_role", "beta", "score", "1", "20", '"zh"', "true", "nobody", "[1, 2]"])
_TEXTS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(
            inner,
            st.sampled_from(["<", "<=", "==", "!=", "in", "and", "or", "+", "*", "**", "<<", "%", ".", "is"]),
            inner,
        ).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"{text}({text})"),
    ),
    max_leaves=12,
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # `-1(-1)`: Python warns, and then we refuse it
@settings(deadline=None)
@given(_TEXTS)
def test_every_text_is_refused_or_answers_true_or_false(text: str) -> None:
    try:
        rule = compiled(text, FEATURES)
    except ConfigError:
        return
    assert rule.names <= FEATURES.keys()
    assert rule.matches(FULL) in (True, False)
    # What Python makes of it is the reference: the checked language is a part of Python's.
    assert rule.matches(FULL) is bool(eval(text.strip(), {"__builtins__": {}}, {**FULL, "true": True}))


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(deadline=None)
@given(st.text(max_size=LONGEST + 10))
def test_arbitrary_text_is_refused_with_an_error_of_ours(text: str) -> None:
    try:
        compiled(text, {})
    except ConfigError as error:
        assert error.hint
