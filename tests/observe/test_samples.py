"""The access log is read whole: across rotations, half lines and bytes that are no UTF-8; also nginx's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from release.observe.samples import AccessLog, Sample, parse


def line(number: int, **fields: Any) -> bytes:
    known = {
        "time": 1000.0 + number,
        "request_id": f"r{number}",
        "method": "GET",
        "path": "/translate",
        "status": "200",
        "request_time": 0.25,
        "slot": "green",
        "bucket": "",
        "version": "",
        "upstream_addr": "127.0.0.1:8102",
        "upstream_status": "200",
        "upstream_header_time": "0.100",
        "upstream_response_time": "0.200",
    }
    return json.dumps(known | fields).encode() + b"\n"


def ids(samples: list[Sample]) -> list[str]:
    return [sample.request_id for sample in samples]


@pytest.fixture
def log(tmp_path: Path) -> AccessLog:
    return AccessLog(tmp_path / "access.json")


def write(log: AccessLog, *lines: bytes) -> None:
    with log.path.open("ab") as file:
        file.write(b"".join(lines))


def rotate(log: AccessLog) -> None:
    for number in (2, 1):
        old = log.path.with_name(f"access.json.{number}")
        if old.exists():
            old.rename(log.path.with_name(f"access.json.{number + 1}"))
    log.path.rename(log.path.with_name("access.json.1"))


def test_a_line_becomes_a_sample() -> None:
    assert parse(line(1, bucket="137")) == Sample(
        time=1001.0,
        slot="green",
        status=200,
        request_time=0.25,
        upstream_status=200,
        upstream_time=0.2,
        answer_time=0.1,
        request_id="r1",
        bucket="137",
        method="GET",
        path="/translate",
    )
    assert parse(line(1)).began == 1000.75


@pytest.mark.parametrize(
    ("status", "times", "expected"),
    [
        ("502, 200", "0.100, 0.200", (200, 0.3)),
        ("502 : 200", "0.100 : 0.200", (200, 0.3)),
        ("504, -", "1.000, -", (504, 1.0)),
        ("-", "-", (None, None)),
        ("", "", (None, None)),
        (None, None, (None, None)),
    ],
)
def test_the_last_of_several_upstreams_answers(
    status: str | None, times: str | None, expected: tuple[int | None, float | None]
) -> None:
    sample = parse(line(1, upstream_status=status, upstream_response_time=times))
    assert (sample.upstream_status, sample.upstream_time) == (expected[0], pytest.approx(expected[1]))


@pytest.mark.parametrize(
    ("heads", "times", "expected"),
    [
        ("0.050", "60.000", 0.05),  # a stream
        ("-, 0.050", "0.100, 0.200", 0.15),  # the first try failed; the client waited for it as well
        ("-", "3.000", None),
        ("0.050, -", "0.100, 1.000", None),
        (None, "0.200", None),  # written by an older configuration
    ],
)
def test_an_answer_begins_with_its_head(heads: str | None, times: str, expected: float | None) -> None:
    sample = parse(line(1, upstream_header_time=heads, upstream_response_time=times))
    assert sample.answer_time == pytest.approx(expected)


def test_each_line_is_read_once(log: AccessLog) -> None:
    cursor = log.end()
    assert log.since(cursor) == ([], None)
    write(log, line(1), line(2))
    samples, cursor = log.since(cursor)
    assert ids(samples) == ["r1", "r2"]
    assert log.since(cursor) == ([], cursor)
    write(log, line(3))
    assert ids(log.since(cursor)[0]) == ["r3"]


def test_what_was_there_before_is_not_read(log: AccessLog) -> None:
    write(log, line(1))
    cursor = log.end()
    write(log, line(2))
    assert ids(log.since(cursor)[0]) == ["r2"]


def test_half_a_line_waits_for_its_other_half(log: AccessLog) -> None:
    whole = line(2)
    write(log, line(1), whole[:40])
    samples, cursor = log.since(None)
    assert ids(samples) == ["r1"] and log.unreadable == 0
    write(log, whole[40:])
    assert ids(log.since(cursor)[0]) == ["r2"]


def test_lines_that_are_no_samples_are_counted_and_left_out(log: AccessLog) -> None:
    write(log, line(1), b"\xff\xfe not JSON\n", b"[]\n", b'{"time":1}\n', b"\n", line(2))
    assert ids(log.since(None)[0]) == ["r1", "r2"]
    assert log.unreadable == 3


def test_bytes_that_are_no_utf_8_do_not_lose_a_request(log: AccessLog) -> None:
    write(log, line(1, path="/PLACE").replace(b"PLACE", b"caf\xe9"))
    (sample,) = log.since(None)[0]
    assert sample.path == "/caf\ufffd"


def test_a_rotation_between_two_looks_loses_nothing(log: AccessLog) -> None:
    write(log, line(1))
    cursor = log.end()
    write(log, line(2))
    rotate(log)
    samples, cursor = log.since(cursor)  # nginx has not opened a new one yet, and still writes into the old
    assert ids(samples) == ["r2"]
    with log.path.with_name("access.json.1").open("ab") as old:
        old.write(line(3))
    write(log, line(4))
    samples, cursor = log.since(cursor)
    assert ids(samples) == ["r3", "r4"]
    write(log, line(5))
    assert ids(log.since(cursor)[0]) == ["r5"]


def test_several_rotations_between_two_looks_lose_nothing(log: AccessLog) -> None:
    write(log, line(0), line(1))
    _, cursor = log.since(None)
    for number in range(2, 4):
        write(log, line(number))
        rotate(log)
        moment = 1_700_000_000 + number
        os.utime(log.path.with_name("access.json.1"), (moment, moment))
        write(log, line(number * 10))
    assert ids(log.since(cursor)[0]) == ["r2", "r20", "r3", "r30"]


def test_a_log_whose_place_is_gone_is_read_from_its_start(log: AccessLog) -> None:
    write(log, line(1))
    _, cursor = log.since(None)
    rotate(log)
    write(log, line(2))
    log.path.with_name("access.json.1").unlink()
    assert ids(log.since(cursor)[0]) == ["r2"]


def test_a_log_that_was_truncated_in_place_is_read_from_its_start(log: AccessLog) -> None:
    write(log, line(1), line(2))
    _, cursor = log.since(None)
    log.path.write_bytes(line(3))
    assert ids(log.since(cursor)[0]) == ["r3"]


def test_a_window_spans_rotated_logs_and_ends_where_it_is_told(log: AccessLog) -> None:
    write(log, line(1), line(2))
    rotate(log)
    write(log, line(3), line(4), line(5)[:30])
    assert ids(log.window(1001.5, 1003.0)) == ["r2", "r3"]
    assert ids(log.window(1001.8, 1003.0)) == ["r3"]  # r2 began before
    assert ids(log.window(0, 9999)) == ["r1", "r2", "r3", "r4"]
    assert AccessLog(log.path.with_name("none.json")).window(0, 9999) == []


def test_following_from_a_moment_on_goes_on_where_the_first_look_ended(log: AccessLog) -> None:
    write(log, line(1), line(2))
    rotate(log)
    half = line(4)
    write(log, line(3), half[:50])
    samples, cursor = log.follow(1001.5)
    assert ids(samples) == ["r2", "r3"]
    write(log, half[50:])
    rotate(log)
    write(log, line(5))
    assert ids(log.since(cursor)[0]) == ["r4", "r5"]
    assert AccessLog(log.path.with_name("none.json")).follow(0) == ([], None)


def test_packed_logs_are_left_alone(log: AccessLog) -> None:
    write(log, line(1))
    log.path.with_name("access.json.2.gz").write_bytes(b"\x1f\x8b")
    assert ids(log.window(0, 9999)) == ["r1"] and log.unreadable == 0
