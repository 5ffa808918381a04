"""The comparison of engines: what the bootstrap says of better and worse, what the verdict takes, and a whole run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.translator.running import ROOT
from translator.engines import Measured, verdict
from translator.footprint import Footprint
from translator.paired import Difference, differences

SENTENCES = [f"the {animal} sees {count} small houses today" for animal in ("cat", "dog", "fox") for count in range(20)]
COST = Footprint(0.1, 0.1, 50.0, 60.0, 70.0)


def contender(name: str, low: float, faster: float) -> Measured:
    """One whose scores are surely `low` or better."""
    score = Difference(30.0, low / 2, low, 0.1)
    return Measured(name, score, score, 0.5, {1: 10.0 * faster}, {1: faster}, COST)


def test_the_same_lines_differ_by_nothing_and_spoiled_ones_are_surely_worse() -> None:
    spoiled = [line.replace("small", "green") if number % 2 else line for number, line in enumerate(SENTENCES)]
    same, worse = (differences(lines, SENTENCES, SENTENCES) for lines in (SENTENCES, spoiled))
    assert {(found.above, found.low, found.high) for found in same.values()} == {(0.0, 0.0, 0.0)}
    for found in worse.values():
        assert found.low <= found.above <= found.high < 0
    assert differences(SENTENCES, spoiled, SENTENCES)["bleu"].low > 0


def test_the_verdict_is_the_fastest_that_is_as_good_in_every_model() -> None:
    base = contender("torch", 0.0, 1.0)
    first = [base, contender("slower", -0.1, 2.0), contender("faster", -0.2, 9.0), contender("worst", -3.0, 20.0)]
    second = [base, contender("slower", -0.1, 2.0), contender("faster", -0.9, 9.0), contender("worst", -0.1, 20.0)]
    assert verdict({"one": first}, 0.5).startswith("faster: ")
    assert verdict({"one": first, "two": second}, 0.5).startswith("slower: ")
    assert verdict({"one": [base, contender("worst", -3.0, 20.0)]}, 0.5).startswith("torch: ")


def test_a_run_says_what_each_engine_costs_and_who_serves_best(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "translator.engines", "translator/models/v1.1.0", "--limit", "6", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "found.json")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["contender"] for one in found["models"]["v1.1.0"]] == [
        "torch float32, 2 beams",
        "ctranslate2 float32, 2 beams",
        "ctranslate2 int8, 2 beams",
    ]
    assert all(one["rates"]["1"] > 0 and one["cost"]["loaded_mb"] > 1 for one in found["models"]["v1.1.0"])
    assert found["verdict"] in done.stdout
