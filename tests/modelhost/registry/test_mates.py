from __future__ import annotations

import pytest

from modelhost.errors import InvalidRequest, MateMismatch
from modelhost.registry.mates import check_mates, misfits
from tests.modelhost.registry.material import Publish


def test_a_set_whose_members_name_each_other_fits(published: Publish) -> None:
    tokenizer = published("1.0.0", "tokenizer").info
    model = published("1.0.0", "model", mates={"tokenizer": tokenizer.digest}).info
    check_mates([model, tokenizer])
    check_mates([tokenizer])


def test_a_wrong_mate_is_named_with_the_digest_wanted_and_the_one_there(published: Publish) -> None:
    old, new = published("1.0.0", "tokenizer").info, published("2.0.0", "tokenizer").info
    model = published("1.0.0", "model", mates={"tokenizer": old.digest}).info

    with pytest.raises(MateMismatch) as refused:
        check_mates([model, new])
    assert f"model 1.0.0 wants the tokenizer of digest {old.digest}" in refused.value.message
    assert f"the set has tokenizer 2.0.0 ({new.digest[:19]})" in refused.value.message
    assert misfits([model, new], known=[old])[0].startswith("model 1.0.0 wants tokenizer 1.0.0 (sha256:")


def test_a_missing_mate_is_a_misfit(published: Publish) -> None:
    model = published("1.0.0", "model", mates={"tokenizer": "sha256:0", "rules": "sha256:1"}).info
    assert [phrase.rsplit(", ")[-1] for phrase in misfits([model])] == ["the set has none"] * 2


def test_a_component_is_in_a_set_once(published: Publish) -> None:
    with pytest.raises(InvalidRequest):
        check_mates([published("1.0.0").info, published("1.1.0").info])
