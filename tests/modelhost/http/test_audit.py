"""The trail only grows, keeps whole lines, and is written to by several at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from modelhost.http.audit import Action, Audit


def test_many_writers_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: Audit(path).write(Action("promote", why=f"{number}\nü")), range(64)))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(int(each["why"].split()[0]) for each in lines) == list(range(64))


def test_a_line_that_a_crash_cut_stays_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"what": "prom')
    Audit(path).write(Action("rollback", who="ann"))
    cut, whole = path.read_text().splitlines()
    assert cut == '{"what": "prom'
    assert json.loads(whole)["who"] == "ann"
