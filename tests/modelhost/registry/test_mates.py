from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.errors import Conflict, IncompleteMetadata, InvalidRequest, MateMismatch
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.mates import check_mates, misfits
from modelhost.registry.publish import publish
from tests.modelhost.registry.material import Publish, metadata


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
    model = published("1.0.0", "model", mates={"tokenizer": "sha256:" + "0" * 64, "rules": "sha256:" + "1" * 64}).info
    assert [phrase.rsplit(", ")[-1] for phrase in misfits([model])] == ["the set has none"] * 2


def test_a_component_is_in_a_set_once(published: Publish) -> None:
    with pytest.raises(InvalidRequest):
        check_mates([published("1.0.0").info, published("1.1.0").info])


@pytest.mark.parametrize("number", ["1.0.0", "v1.0.0"])
def test_a_mate_that_is_published_by_its_number_is_named_by_its_digest(published: Publish, number: str) -> None:
    tokenizer = published("1.0.0", "tokenizer").info
    published("2.0.0", "tokenizer")
    model = published("1.0.0", "model", mates={"tokenizer": number}).info
    assert model.mates == {"tokenizer": tokenizer.digest}
    check_mates([model, tokenizer])


def test_a_digest_of_a_mate_that_is_not_there_yet_is_taken_as_it_is(published: Publish) -> None:
    digest = "sha256:" + "0" * 64
    assert published("1.0.0", "model", mates={"tokenizer": digest}).info.mates == {"tokenizer": digest}


@pytest.mark.parametrize(
    ("mates", "said"),
    [
        ({"tokenizer": "9.0.0"}, "tokenizer is '9.0.0', neither a digest (sha256: and 64 hex digits) nor a version of"),
        ({"tokenizer": "9.0.0"}, "in this registry, which has 1.0.0"),
        ({"tokenizer": "latest"}, "tokenizer is 'latest', neither"),
        ({"tokenizer": 1.0}, "tokenizer is '1.0', neither"),
        ({"tokenizer": "sha256:abc"}, "tokenizer is 'sha256:abc', neither"),
        ({"rules": "1.0.0"}, "which has no rules: publish it first"),
        ({"../model": "1.0.0"}, "which has no ../model"),
        ("tokenizer", "asked for: component → number or digest"),
    ],
)
def test_what_is_neither_a_digest_nor_a_version_is_no_mate_and_no_number_is_burnt(
    root: Path, source: Path, published: Publish, mates: object, said: str
) -> None:
    published("1.0.0", "tokenizer")
    with pytest.raises(IncompleteMetadata) as refused:
        publish(root, source, {**metadata(mates=mates), "note": " "}, who="anna")
    assert said in refused.value.message and "note: what changed" in refused.value.message
    assert not (root / "model").exists()
    assert publish(root, source, metadata(mates={"tokenizer": "1.0.0"}), who="anna").fresh


def test_in_a_registry_that_is_not_there_yet_nothing_is_a_mate_by_number(root: Path, source: Path) -> None:
    with pytest.raises(IncompleteMetadata, match="which has no tokenizer"):
        publish(root, source, metadata(mates={"tokenizer": "1.0.0"}), who="anna")
    assert not root.exists()


def test_by_number_and_by_digest_is_the_same_publication_and_another_mate_is_named(
    root: Path, source: Path, published: Publish
) -> None:
    old, new = published("1.0.0", "tokenizer").info, published("2.0.0", "tokenizer").info
    assert publish(root, source, metadata(mates={"tokenizer": "1.0.0"}), who="anna").fresh
    assert not publish(root, source, metadata(mates={"tokenizer": old.digest}), who="anna").fresh
    with pytest.raises(Conflict) as refused:
        publish(root, source, metadata(mates={"tokenizer": "2.0.0"}), who="anna")
    then, now = f'{{"tokenizer": "{old.digest}"}}', f'{{"tokenizer": "{new.digest}"}}'
    assert f"with a difference in mates ({then} then, {now} now)" in refused.value.message
    assert DirectoryRegistry(root).find("model", "1.0.0").info.mates == {"tokenizer": old.digest}
