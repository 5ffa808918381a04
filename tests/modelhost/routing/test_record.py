"""The record of requests: it is complete, rotates, survives a full disk and a fork, and never holds a request up."""

import hashlib
import json
import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhost.routing.record import Recorder, RequestRecord, input_hash, preview
from modelhost.routing.rotation import RotatingLines

AT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)


def a_record(number: int = 0, text: str = "你好\n", confidence: float | None = 0.9) -> RequestRecord:
    return RequestRecord(
        AT, f"r{number}", "translation", "1.3.0", "AB:treatment", "weight AB:treatment",
        input_hash(text), preview(text, 80), confidence, 12.3456,
    )  # fmt: skip


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def lines(*paths: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def test_each_request_is_one_json_line_with_all_that_analysis_needs(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "deep" / "requests.jsonl")
    in_full = replace(a_record(1), outcome="failed", versions={"model": "1.3.0", "tokenizer": "1.1.0"})
    assert recorder.record(in_full)
    recorder.close()
    [line] = lines(recorder.path)
    assert line == {
        "id": "r1",
        "at": "2026-01-02T03:04:05.678+00:00",
        "component": "translation",
        "version": "1.3.0",
        "variant": "AB:treatment",
        "versions": {"model": "1.3.0", "tokenizer": "1.1.0"},
        "reason": "weight AB:treatment",
        "outcome": "failed",
        "input_hash": hashlib.sha256("你好\n".encode()).hexdigest(),
        "preview": "你好\n",
        "confidence": 0.9,
        "latency_ms": 12.346,
    }
    assert stat.S_IMODE(recorder.path.stat().st_mode) == 0o600
    assert (recorder.written, recorder.dropped) == (1, 0)


def test_closing_writes_all_that_waits(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl")
    assert all(recorder.record(a_record(number)) for number in range(2000))
    recorder.close(30)
    assert [line["id"] for line in lines(recorder.path)] == [f"r{number}" for number in range(2000)]


def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening it for writing blocks for as long as nobody reads
    recorder = Recorder(pipe, queue_size=5)
    taken = sum(recorder.record(a_record(number)) for number in range(600))
    assert taken < 600
    assert recorder.dropped == 600 - taken
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        until(lambda: recorder.written + recorder.dropped == 600)
        recorder.close(30)
    finally:
        os.close(reader)
    assert recorder.written == taken


def test_after_closing_a_record_is_dropped_and_counted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl")
    recorder.close()
    assert not recorder.record(a_record())
    assert recorder.dropped == 1


def test_a_place_that_cannot_be_written_fails_no_request_and_works_once_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "folder"
    blocked.write_text("a file where a folder must be")
    recorder = Recorder(blocked / "r.jsonl")
    for number in range(3):
        assert recorder.record(a_record(number))
        until(lambda number=number: recorder.dropped == number + 1)  # type: ignore[misc]
    assert sum("are not recorded" in message for message in caplog.messages) == 1
    blocked.unlink()
    recorder.record(a_record(9))
    recorder.close(30)
    assert [line["id"] for line in lines(recorder.path)] == ["r9"]


def test_a_full_disk_is_counted() -> None:
    recorder = Recorder(Path("/dev/full"))
    recorder.record(a_record())
    recorder.close(30)
    assert (recorder.written, recorder.dropped) == (0, 1)


def test_one_record_that_is_no_json_loses_no_other(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl")
    for confidence in (0.1, float("nan"), None):
        recorder.record(a_record(confidence=confidence))
    recorder.close(30)
    assert [line["confidence"] for line in lines(recorder.path)] == [0.1, None]
    assert (recorder.written, recorder.dropped) == (2, 1)


def test_the_file_rotates_at_its_size_and_only_so_many_are_kept(tmp_path: Path) -> None:
    file = RotatingLines(tmp_path / "r.jsonl", most_bytes=20, keep=2)
    for number in range(10):
        file.append(f"line number {number}\n".encode())
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.jsonl", "r.jsonl.1", "r.jsonl.2"]
    contents = [(tmp_path / name).read_text() for name in ("r.jsonl.2", "r.jsonl.1", "r.jsonl")]
    assert contents == ["line number 7\n", "line number 8\n", "line number 9\n"]


def test_without_any_to_keep_it_starts_anew(tmp_path: Path) -> None:
    file = RotatingLines(tmp_path / "r.jsonl", most_bytes=10, keep=0)
    for number in range(3):
        file.append(f"line {number}\n".encode())
    file.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["line 2\n"]


def test_a_file_that_somebody_moves_away_is_made_again(tmp_path: Path) -> None:
    file = RotatingLines(tmp_path / "r.jsonl", most_bytes=1000, keep=1)
    file.append(b"one\n")
    (tmp_path / "r.jsonl").rename(tmp_path / "moved")
    file.append(b"two\n")
    file.close()
    assert (tmp_path / "r.jsonl").read_text() == "two\n"


def _append(path: Path, who: int) -> None:
    file = RotatingLines(path, most_bytes=500, keep=1000)
    for number in range(100):
        file.append(f"{who} {number}\n".encode())
    file.close()


def test_processes_that_share_a_file_lose_no_line_when_it_rotates(tmp_path: Path) -> None:
    processes = [
        multiprocessing.get_context("fork").Process(target=_append, args=(tmp_path / "r", who)) for who in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = sorted(line for path in tmp_path.iterdir() for line in path.read_text().splitlines())
    assert found == sorted(f"{who} {number}" for who in range(3) for number in range(100))


def _record_and_close(recorder: Recorder) -> None:
    recorder.record(a_record(2))
    recorder.close(30)
    raise SystemExit(0 if (recorder.written, recorder.dropped) == (1, 0) else 1)


def test_a_recorder_works_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl")
    recorder.record(a_record(1))
    until(lambda: recorder.written == 1)
    child = multiprocessing.get_context("fork").Process(target=_record_and_close, args=(recorder,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    recorder.record(a_record(3))
    recorder.close(30)
    assert [line["id"] for line in lines(recorder.path)] == ["r1", "r2", "r3"]


def test_many_threads_record_side_by_side(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.jsonl")
    threads = [
        threading.Thread(target=lambda: [recorder.record(a_record(number)) for number in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close(30)
    assert len(lines(recorder.path)) == recorder.written == 1600
    assert recorder.dropped == 0


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_a_preview_is_never_longer_than_it_may_be_and_every_text_makes_a_line(text: str, most: int) -> None:
    cut = preview(text, most)
    assert len(cut) <= most
    assert cut == text or cut == text[: max(most - 1, 0)] + "…" * bool(most)
    line = a_record(text=text).line()
    assert line.count(b"\n") == 1
    assert json.loads(line)["input_hash"] == input_hash(text)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "\u2028"])
def test_a_text_that_is_no_valid_unicode_makes_a_line_too(text: str) -> None:
    assert json.loads(a_record(text=text).line())["preview"] == text
