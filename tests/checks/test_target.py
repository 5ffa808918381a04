"""A target that one service answers for among others: which answers are its own."""

from __future__ import annotations

import pytest

from release.checks.base import Target

TARGET = Target("http://127.0.0.1:1", "translator 1.1.0", proof={"X-Model-Set": "translator=1.1.0"})


@pytest.mark.parametrize("told", ["translator=1.1.0", "tokenizer=2.0.0, translator=1.1.0"])
def test_an_answer_that_names_it_is_its_own(told: str) -> None:
    assert TARGET.stranger({"x-model-set": told}) == ""


@pytest.mark.parametrize("told", ["translator=1.1.0-rc.1", "my-translator=1.1.0", "translator=1.0.0"])
def test_an_answer_that_names_another_is_none_of_its_own(told: str) -> None:
    assert TARGET.stranger({"x-model-set": told}) == f"not answered by translator=1.1.0: X-Model-Set is {told}"


def test_an_answer_of_a_set_is_its_own_where_it_names_all_of_it() -> None:
    both = Target("http://127.0.0.1:1", "both", proof={"X-Model-Set": "model=1.1.0, tokenizer=1.1.0"})
    assert both.stranger({"x-model-set": "model=1.1.0, other=1.0.0, tokenizer=1.1.0"}) == ""
    assert "not answered by" in both.stranger({"x-model-set": "model=1.1.0, tokenizer=1.0.0"})


def test_an_answer_that_names_nobody_proves_nothing() -> None:
    assert TARGET.stranger({}) == "the answer has no X-Model-Set"


def test_a_target_alone_at_its_address_takes_every_answer() -> None:
    assert Target("http://127.0.0.1:1", "v1.0.0-abc1234").stranger({}) == ""
