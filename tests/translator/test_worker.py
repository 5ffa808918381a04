"""The worker: one thread, a bounded queue, nobody spoiled by a neighbour."""

from __future__ import annotations

import threading

import pytest

from translator.errors import Refusal
from translator.model import Translated
from translator.worker import Worker


class Shouting:
    """Answers in capitals, notes its batches, refuses the word `bad`, and can be held back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.begun = threading.Event()

    def __call__(self, sentences: list[str]) -> Translated:
        self.begun.set()
        self.go.wait()
        self.batches.append(sentences)
        if "bad" in sentences:
            raise ValueError("bad")
        scores = [(len(sentence), -float(len(sentence))) for sentence in sentences]
        return Translated([sentence.upper() for sentence in sentences], len(sentences), 2 * len(sentences), scores)


def test_what_waits_is_translated_together_and_each_gets_its_own() -> None:
    model = Shouting()
    worker = Worker(waiting=10)
    worker.start()
    first = worker.submit(model, ["one"])
    model.begun.wait()
    others = [worker.submit(model, [f"a{number}", f"b{number}"]) for number in range(3)]
    model.go.set()
    assert first.result().lines == ["ONE"]
    assert [future.result().lines for future in others] == [["A0", "B0"], ["A1", "B1"], ["A2", "B2"]]
    assert first.result().scores == [(3, -3.0)] and others[2].result().scores == [(2, -2.0), (2, -2.0)]
    assert len(model.batches) == 2
    assert sum(future.result().source_tokens for future in [first, *others]) == 7
    worker.close()


def test_a_failing_request_does_not_spoil_its_neighbours() -> None:
    model = Shouting()
    worker = Worker(waiting=10)
    worker.start()
    futures = [worker.submit(model, [word]) for word in ("good", "bad", "better")]
    model.go.set()
    assert futures[0].result().lines == ["GOOD"]
    with pytest.raises(ValueError, match="bad"):
        futures[1].result()
    assert futures[2].result().lines == ["BETTER"]
    assert worker.alive
    worker.close()


def test_a_full_queue_refuses_at_once() -> None:
    model = Shouting()
    worker = Worker(waiting=1)
    worker.start()
    first = worker.submit(model, ["one"])
    model.begun.wait()
    second = worker.submit(model, ["two"])
    with pytest.raises(Refusal) as refused:
        worker.submit(model, ["three"])
    assert (refused.value.status, refused.value.code) == (503, "busy")
    model.go.set()
    assert [first.result().lines, second.result().lines] == [["ONE"], ["TWO"]]
    worker.close()


def test_closing_finishes_what_is_queued() -> None:
    model = Shouting()
    worker = Worker(waiting=10)
    worker.start()
    futures = [worker.submit(model, [str(number)]) for number in range(5)]
    threading.Timer(0.1, model.go.set).start()
    worker.close()
    assert all(future.done() for future in futures)
    assert not worker.alive


def test_closing_one_that_never_started_is_harmless() -> None:
    Worker(waiting=1).close()


def test_jobs_of_different_sets_do_not_share_a_batch() -> None:
    one, other = Shouting(), Shouting()
    other.go.set()
    worker = Worker(waiting=10)
    worker.start()
    first = worker.submit(one, ["held"])
    one.begun.wait()
    futures = [worker.submit(each, [f"{number}"]) for number, each in enumerate((one, one, other, one))]
    one.go.set()
    assert [future.result().lines for future in (first, *futures)] == [["HELD"], ["0"], ["1"], ["2"], ["3"]]
    assert (one.batches, other.batches) == ([["held"], ["0", "1"], ["3"]], [["2"]])
    worker.close()
