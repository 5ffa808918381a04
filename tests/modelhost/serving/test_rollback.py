"""Rollbacks: to what served and is stable, checked first; what is left stays left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelhost.errors import (
    ConfigError,
    Conflict,
    IntegrityError,
    InvalidRequest,
    MateMismatch,
    NothingStable,
    Refused,
    RegistryUnavailable,
    Unknown,
)
from modelhost.registry.base import Status, StatusChange
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.remote import RemoteRegistry
from modelhost.serving.fallback import FALLBACK_VERSION
from modelhost.serving.history import Outcome
from modelhost.serving.marks import accept
from modelhost.serving.serving import Serving
from tests.modelhost.loading.published import damage
from tests.modelhost.serving.workshop import Workshop, answer


def served(shop: Workshop, *versions: str) -> Serving:
    """A service on which these versions of the model served, one after the other."""
    shop.publish("model", *versions)
    serving = shop.serve({"model": versions[0]})
    for version in versions[1:]:
        serving.swap({"model": version}, who="ann", why="better")
    return serving


def test_the_previous_version_serves_again_and_the_one_left_is_rejected_by_name(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0")
    record = serving.rollback("model", who="bob", reason="translates nonsense")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert record.rejected == {"model": "2.0.0"}
    assert shop.registry.find("model", "2.0.0").status is Status.REJECTED
    last = shop.registry.log("model")[-1]
    assert (last.who, last.why) == ("bob", "translates nonsense")
    assert shop.loader.closes("model 2.0.0") == [1]


def test_repeating_it_goes_further_back_and_never_brings_back_what_was_left(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0", "3.0.0")
    for expected in ("2.0.0", "1.0.0"):
        serving.rollback("model", who="bob", reason="bad")
        assert answer(serving) == {"model": f"model {expected}"}
    with pytest.raises(NothingStable, match="no fallback is declared"):
        serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert shop.registry.find("model", "1.0.0").status is Status.STABLE, "where nothing moved, nothing was left"
    assert serving.events.flush()
    assert shop.heard[-1].alert


def test_a_version_that_never_served_is_no_way_back(shop: Workshop) -> None:
    shop.publish("model", "1.5.0")
    serving = served(shop, "1.0.0", "2.0.0")
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}


@pytest.mark.parametrize("component", ["model", None])
def test_where_nothing_that_served_is_left_an_older_stable_version_will_do(
    component: str | None, shop: Workshop
) -> None:
    """As in a service that was just installed, with a registry that knows what is good."""
    shop.publish("model", "0.8.0", "0.9.0", "1.0.0", "3.0.0")
    shop.mark("model", "1.0.0", Status.UNSTABLE)
    serving = served(shop, "2.0.0")
    for expected in ("0.9.0", "0.8.0"):
        record = serving.rollback(component, who="bob", reason="bad")
        assert answer(serving) == {"model": f"model {expected}"}
        assert list(record.rejected) == ["model"]
    with pytest.raises(NothingStable):
        serving.rollback(component, who="bob", reason="bad")


def test_an_older_version_brings_the_mate_that_names_it_and_none_that_is_newer(shop: Workshop) -> None:
    first = shop.publish("tokenizer", "1.0.0")
    shop.publish("model", "1.0.0", "2.1.0", mates={"tokenizer": first})
    shop.publish("model", "2.0.0", mates={"tokenizer": shop.publish("tokenizer", "2.0.0")})
    serving = shop.serve({"model": "2.0.0", "tokenizer": "2.0.0"})
    serving.rollback("tokenizer", who="bob", reason="bad", together=True)
    assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}


@pytest.mark.parametrize(
    ("component", "named", "together"), [(None, None, False), ("model", None, True), ("model", "1.0.0", True)]
)
def test_an_older_version_brings_the_mate_that_it_names(
    component: str | None, named: str | None, together: bool, shop: Workshop
) -> None:
    for number in ("1.0.0", "2.0.0"):
        shop.publish("model", number, mates={"tokenizer": shop.publish("tokenizer", number)})
    serving = shop.serve({"model": "2.0.0", "tokenizer": "2.0.0"})
    with pytest.raises(MateMismatch, match=r"together=True.*tokenizer 2\.0\.0 → 1\.0\.0"):
        serving.rollback("model", named, who="bob", reason="bad")
    serving.rollback(component, named, who="bob", reason="bad", together=together)
    assert answer(serving) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}


@pytest.mark.parametrize("status", [Status.UNSTABLE, Status.REJECTED])
def test_a_version_that_is_not_stable_any_more_is_passed_over(status: Status, shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0", "3.0.0")
    shop.mark("model", "2.0.0", status)
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}


def test_what_a_rollback_passes_over_is_not_pulled_for_it(shop: Workshop, tmp_path: Path) -> None:
    shop.publish("model", "1.0.0", "1.1.0", "2.0.0")
    remote = RemoteRegistry(shop.root.as_uri(), tmp_path / "cache")
    serving = shop.serve({"model": "1.0.0"}, registry=remote)
    for version in ("1.1.0", "2.0.0"):
        serving.swap({"model": version}, who="ann", why="better")
    shop.mark("model", "1.1.0", Status.UNSTABLE)
    remote.discard("model", "1.1.0")
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert not remote.has_copy("model", "1.1.0")


def test_what_fits_no_more_is_refused_before_it_is_pulled(shop: Workshop, tmp_path: Path) -> None:
    shop.publish("tokenizer", "1.0.0", "2.0.0")
    first = shop.registry.find("tokenizer", "1.0.0").info.digest
    shop.publish("model", "1.0.0", mates={"tokenizer": first})
    shop.publish("model", "2.0.0")
    remote = RemoteRegistry(shop.root.as_uri(), tmp_path / "cache")
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"}, registry=remote)
    serving.swap({"model": "2.0.0", "tokenizer": "2.0.0"}, who="ann", why="better")
    remote.discard("model", "1.0.0")
    with pytest.raises(MateMismatch):
        serving.rollback("model", who="bob", reason="bad")
    assert not remote.has_copy("model", "1.0.0")


def test_a_damaged_target_is_passed_over_and_said_unless_it_was_named(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0", "3.0.0")
    damage(shop.registry.find("model", "2.0.0"), "changed")
    with pytest.raises(IntegrityError, match="was changed"):
        serving.rollback("model", "2.0.0", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 3.0.0"}
    record = serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    assert any("weights.safetensors was changed" in note for note in record.notes)


def test_files_damaged_after_their_load_are_found_though_the_version_is_still_in_memory(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0", "3.0.0")
    serving.pool.pin("model", "2.0.0")
    serving.pool.lease("model", "2.0.0").release()
    damage(shop.registry.find("model", "2.0.0"), "changed")
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}


def test_a_named_version_that_never_served_is_a_way_back_where_it_is_stable_and_older(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0")
    shop.publish("model", "1.5.0")
    with pytest.raises(Conflict, match="serves already"):
        serving.rollback("model", "2.0.0", who="bob", reason="bad")
    with pytest.raises(Unknown):
        serving.rollback("model", "7.0.0", who="bob", reason="bad")
    serving.rollback("model", "v1.5.0", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.5.0"}


@pytest.mark.parametrize(
    ("version", "status", "why"),
    [
        ("1.5.0", Status.UNSTABLE, r"is unstable and never served here.*: promote it"),
        ("1.5.0", Status.REJECTED, r"is rejected.*promote it"),
        ("2.5.0", Status.UNSTABLE, r"is unstable and never served here.*: promote it"),
        ("2.5.0", Status.STABLE, r"is newer than 2\.0\.0 and never served here.*: promote it"),
        ("1.0.0", Status.UNSTABLE, r"1\.0\.0 is unstable: .*: promote it"),
    ],
)
def test_a_named_version_that_is_no_way_back_is_refused_and_nothing_is_rejected(
    version: str, status: Status, why: str, shop: Workshop
) -> None:
    serving = served(shop, "1.0.0", "2.0.0")
    if version != "1.0.0":
        shop.publish("model", version, stable=False)
    if status is not shop.registry.find("model", version).status:
        shop.mark("model", version, status)
    before = shop.registry.log("model")
    for together in (False, True):
        with pytest.raises(Refused, match=why) as refused:
            serving.rollback("model", version, who="bob", reason="bad", together=together)
        assert refused.value.status == 422
    assert answer(serving) == {"model": "model 2.0.0"}
    assert shop.registry.log("model") == before


def test_a_named_version_that_was_left_is_no_way_back_though_the_registry_could_not_be_told(shop: Workshop) -> None:
    class ReadOnly(DirectoryRegistry):
        def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
            raise RegistryUnavailable("the disk is full")

    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"}, registry=ReadOnly(shop.root))
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    serving.rollback("model", who="bob", reason="bad")
    with pytest.raises(Refused, match="left by a rollback"):
        serving.rollback("model", "2.0.0", who="eve", reason="it was not")
    assert answer(serving) == {"model": "model 1.0.0"}


def test_after_a_restart_the_way_back_is_known(shop: Workshop) -> None:
    served(shop, "1.0.0", "2.0.0", "3.0.0").rollback("model", who="bob", reason="bad")
    again = shop.serve()
    record = again.start()
    assert answer(again) == {"model": "model 2.0.0"}
    assert record.generation == 5
    again.rollback("model", who="bob", reason="bad too")
    assert answer(again) == {"model": "model 1.0.0"}


def test_one_that_was_left_serves_again_once_somebody_marked_it_stable(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0")
    serving.rollback("model", who="bob", reason="bad")
    shop.mark("model", "2.0.0", Status.STABLE)
    serving.rollback("model", who="bob", reason="it was the other one")
    assert answer(serving) == {"model": "model 2.0.0"}


def test_when_nothing_is_left_the_declared_fallback_serves_and_an_alert_is_sent(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    tokenizer = shop.publish("tokenizer", "1.0.0", mates={"model": shop.registry.find("model", "1.0.0").info.digest})
    assert tokenizer
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"}, fallbacks=[shop.dictionary()])
    record = serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model by dictionary", "tokenizer": "tokenizer 1.0.0"}
    assert serving.current()["model"].fallback and serving.current().fallbacks == ("model",)
    assert (record.after["model"], record.fallbacks) == (FALLBACK_VERSION, ("model",))
    assert record.rejected == {"model": "1.0.0"}
    assert serving.events.flush()
    assert shop.heard[-1].alert and "the fallback" in shop.heard[-1].title
    with pytest.raises(NothingStable, match="fallback serves already"):
        serving.rollback("model", who="bob", reason="bad")
    shop.publish("model", "1.0.1")
    with pytest.raises(MateMismatch):
        serving.swap({"model": "1.0.1"}, who="ann", why="mended")


def test_a_fallback_that_does_not_say_so_is_refused(shop: Workshop) -> None:
    shop.publish("model", "1.0.0")
    serving = shop.serve({"model": "1.0.0"})
    with pytest.raises(ConfigError, match="model"):
        shop.serve(fallbacks=[serving.current()["model"]])


@pytest.fixture
def pairs(shop: Workshop) -> Serving:
    """Models and tokenizers 1 and 2 served, each pair belonging together."""
    for version in ("1.0.0", "2.0.0"):
        shop.publish("model", version, mates={"tokenizer": shop.publish("tokenizer", version)})
    serving = shop.serve({"model": "1.0.0", "tokenizer": "1.0.0"})
    serving.swap({"model": "2.0.0", "tokenizer": "2.0.0"}, who="ann", why="better")
    return serving


def test_a_rollback_that_would_break_mates_is_refused_and_says_what_together_would_do(
    shop: Workshop, pairs: Serving
) -> None:
    with pytest.raises(MateMismatch) as refused:
        pairs.rollback("model", who="bob", reason="bad")
    assert "together=True" in refused.value.hint
    assert "model 2.0.0 → 1.0.0, tokenizer 2.0.0 → 1.0.0" in refused.value.hint
    assert pairs.current().versions == {"model": "2.0.0", "tokenizer": "2.0.0"}
    assert shop.registry.find("model", "2.0.0").status is Status.STABLE


def test_together_the_mates_go_back_as_one_and_only_the_one_asked_for_is_rejected(
    shop: Workshop, pairs: Serving
) -> None:
    record = pairs.rollback("model", who="bob", reason="bad", together=True)
    assert answer(pairs) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert set(record.changed) == {"model", "tokenizer"}
    assert record.rejected == {"model": "2.0.0"}
    assert shop.registry.find("tokenizer", "2.0.0").status is Status.STABLE


def test_a_whole_set_goes_back_as_one_and_all_that_changed_is_rejected(shop: Workshop, pairs: Serving) -> None:
    record = pairs.rollback(who="bob", reason="bad")
    assert answer(pairs) == {"model": "model 1.0.0", "tokenizer": "tokenizer 1.0.0"}
    assert record.rejected == {"model": "2.0.0", "tokenizer": "2.0.0"}
    with pytest.raises(NothingStable):
        pairs.rollback(who="bob", reason="bad")


def test_a_set_that_served_can_be_named_by_its_generation(shop: Workshop, pairs: Serving) -> None:
    with pytest.raises(Unknown, match="generation 9"):
        pairs.rollback(to_generation=9, who="bob", reason="bad")
    with pytest.raises(Conflict, match="serves already"):
        pairs.rollback(to_generation=2, who="bob", reason="bad")
    pairs.rollback(to_generation=1, who="bob", reason="bad")
    assert pairs.current().versions == {"model": "1.0.0", "tokenizer": "1.0.0"}


def test_a_named_version_takes_the_set_with_which_it_served(shop: Workshop, pairs: Serving) -> None:
    pairs.rollback("model", "1.0.0", who="bob", reason="bad", together=True)
    assert pairs.current().versions == {"model": "1.0.0", "tokenizer": "1.0.0"}


def test_what_makes_no_sense_is_refused_in_words(pairs: Serving) -> None:
    for asked, error, words in (
        ({"component": "decoder"}, Unknown, "these do: model, tokenizer"),
        ({"to_version": "1.0.0"}, InvalidRequest, "belongs to a component"),
        ({"component": "model", "to_generation": 1}, InvalidRequest, "whole set"),
    ):
        with pytest.raises(error, match=words):
            pairs.rollback(**asked, who="bob", reason="bad")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="why"):
        pairs.rollback("model", who="bob", reason="")
    assert {each.outcome for each in pairs.history.records()[2:]} == {Outcome.REFUSED}


def test_a_second_rollback_at_the_same_time_does_not_go_back_twice(shop: Workshop) -> None:
    serving = served(shop, "1.0.0", "2.0.0", "3.0.0")
    gate = shop.loader.gate("model 2.0.0")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(serving.rollback, "model", who="ann", reason="bad")
        assert shop.loader.begun["model 2.0.0"].wait(30)
        with pytest.raises(Conflict, match="another rollback"):
            serving.rollback("model", who="bob", reason="bad")
        gate.set()
        first.result(30)
    assert answer(serving) == {"model": "model 2.0.0"}


def test_a_registry_that_cannot_be_written_keeps_nobody_from_going_back_nor_brings_the_bad_one_back(
    shop: Workshop,
) -> None:
    class ReadOnly(DirectoryRegistry):
        def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
            raise RegistryUnavailable("the disk is full")

    shop.publish("model", "1.0.0", "2.0.0", "3.0.0")
    serving = shop.serve({"model": "1.0.0"}, registry=ReadOnly(shop.root))
    for version in ("2.0.0", "3.0.0"):
        serving.swap({"model": version}, who="ann", why="better")
    record = serving.rollback("model", who="bob", reason="bad")
    assert any("disk is full" in note for note in record.notes)
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}
    with pytest.raises(NothingStable):
        serving.rollback("model", who="bob", reason="bad")


@pytest.mark.parametrize("moment", ["find", "mark"])
def test_what_was_left_while_its_promotion_was_still_marked_as_stable_stays_rejected(
    moment: str, shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback a moment after the flip: before it is known what the status is, or before the mark."""
    shop.publish("model", "1.0.0")
    shop.publish("model", "1.1.0", stable=False)
    registry = shop.registry
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "1.1.0"}, who="ann", why="better")
    inner = getattr(registry, moment)

    def first(*about: Any) -> Any:
        monkeypatch.undo()
        serving.rollback("model", who="bob", reason="worse")
        return inner(*about)

    monkeypatch.setattr(registry, moment, first)
    accept(registry, "model", "1.1.0", "ann", "better")
    assert registry.find("model", "1.1.0").status is Status.REJECTED
    last = registry.log("model")[-1]
    assert (last.version, last.who, last.why) == ("1.1.0", "bob", "worse")
