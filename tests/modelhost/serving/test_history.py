"""Who switched what: it only grows, survives a crash in the middle of a line, and fails no switch."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelhost.errors import Refused
from modelhost.serving.history import History, Kind, Outcome, Record
from tests.modelhost.serving.workshop import Workshop, answer

RECORD = Record(
    at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    kind=Kind.ROLLBACK,
    outcome=Outcome.SWITCHED,
    who="änn",
    why="two\nlines",
    generation=7,
    before={"model": "2.0.0", "tokenizer": "1.0.0"},
    after={"model": "1.0.0", "tokenizer": "1.0.0"},
    rejected={"model": "2.0.0"},
    fallbacks=("tokenizer",),
    seconds={"flip": 1e-6},
    error="",
    notes=("noted",),
)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    history = History(tmp_path / "new" / "history.jsonl")
    assert history.records() == []
    assert history.append(RECORD) == ""
    assert History(history.path).records() == [RECORD]
    assert RECORD.changed == {"model": "1.0.0"}
    assert len(history.path.read_bytes().splitlines()) == 1


def test_each_line_names_the_process_that_wrote_it_or_what_that_calls_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    History(path).append(RECORD)
    named = History(path)
    named.process = "replica-2"
    named.append(RECORD)
    first, second = named.records()
    assert first.process.endswith(f"-{os.getpid()}")
    assert second.process == "replica-2"
    assert first == second == RECORD


def test_a_torn_line_is_left_out_and_swallows_no_later_one(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append(RECORD)
    whole = history.path.read_bytes()
    for length in (1, len(whole) // 2, len(whole) - 2):
        history.path.write_bytes(whole + whole[:length])
        history.append(RECORD)
        assert history.records() == [RECORD, RECORD]


def test_lines_of_a_later_version_of_this_file_are_understood_as_far_as_they_go(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append(RECORD)
    line = history.path.read_text()
    history.path.write_text(line.replace('{"at"', '{"weather":"fine","at"') + '{"at":1}\n[]\nnull\n')
    assert history.records() == [RECORD]


def test_a_history_that_cannot_be_written_fails_no_switch_and_is_not_forgotten(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    history = serving.history.path
    content = history.read_bytes()
    history.unlink()
    history.mkdir()
    record = serving.swap({"model": "2.0.0"}, who="ann", why="better")
    assert any("could not be written" in note for note in record.notes)
    history.rmdir()
    history.write_bytes(content)
    serving.rollback("model", who="bob", reason="bad")
    assert answer(serving) == {"model": "model 1.0.0"}


def test_every_attempt_is_in_it_with_who_why_and_how_it_ended(shop: Workshop) -> None:
    shop.publish("model", "1.0.0", "2.0.0")
    serving = shop.serve({"model": "1.0.0"})
    serving.swap({"model": "2.0.0"}, who="ann", why="better")
    serving.rollback("model", who="bob", reason="worse")
    with pytest.raises(Refused, match=r"is rejected: bob rejected it \(worse\)"):
        serving.swap({"model": "2.0.0"}, who="eve", why="again")
    told = [(each.kind, each.outcome, each.who, each.why, each.generation) for each in serving.history.records()]
    assert told == [
        (Kind.START, Outcome.SWITCHED, "start-up", "start", 1),
        (Kind.SWAP, Outcome.SWITCHED, "ann", "better", 2),
        (Kind.ROLLBACK, Outcome.SWITCHED, "bob", "worse", 3),
        (Kind.SWAP, Outcome.REFUSED, "eve", "again", 3),
    ]
