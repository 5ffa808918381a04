"""Every benchmark runs, and says what the README quotes; how fast things are is no test's business."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import meant, measured
from benchmarks.summary import FIGURES

ROOT = Path(__file__).parents[2]
PATIENCE = 900  # seconds, for all of them on a busy machine; the test that waits for them has a little more
pytestmark = pytest.mark.timeout(PATIENCE + 60)
# What the rows of each are called by, and the rows that have to be there.
ROWS = {
    "startup": ("command", {"python -c pass", "release --help", "release status", "release rollback --list"}),
    "rollback": ("what", {"the whole command", "until traffic has moved", "the switch itself", "python -c pass"}),
    "deployment": ("what", {"release deploy, the whole command", "the toolkit's own share", "docker run, stop, rm"}),
    "switch": (None, set()),
    "throughput": ("case", {"plain", "bare"}),
    "modelhost.swap": ("way", {"modelhost", "modelhost, no pause", "load_state_dict, live", "restart"}),
    "modelhost.large": ("way", {"modelhost", "modelhost, the first time", "load_state_dict, live"}),
    "modelhost.ways": ("way", {"safetensors, mapped, assigned", "torch.load", "full hash, SHA-256"}),
    "modelhost.lazy": ("what", {"the model, called directly", "host.request, nothing to decide"}),
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `python -m benchmarks --quick` writes."""
    place = tmp_path_factory.mktemp("benchmarks") / "all.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert place.exists(), done.stdout + done.stderr
    return dict(json.loads(place.read_text())) | {"said": done.stdout + done.stderr}


@pytest.mark.docker
@pytest.mark.parametrize("name", ROWS)
def test_a_benchmark_runs_with_few_rounds_and_gives_its_rows(everything: dict[str, Any], name: str) -> None:
    assert name in everything["benchmarks"], everything["said"]
    document = everything["benchmarks"][name]
    key, wanted = ROWS[name]
    assert document["title"] and document["notes"] and document["machine"]["cpus"]
    assert len({tuple(row) for row in document["rows"]}) == 1, "all rows of a table have the same columns"
    if key is not None:
        assert wanted <= {row[key] for row in document["rows"]}
    assert document["title"] in everything["said"]


@pytest.mark.docker
def test_the_file_says_when_and_where_it_was_measured(everything: dict[str, Any]) -> None:
    assert set(everything) >= {"date", "machine", "benchmarks"}
    assert everything["machine"]["cpus"] >= 1
    measured = [row["figure"] for row in everything["summary"]]
    assert measured == [figure.what for figure in FIGURES], "a promise without a figure"


@pytest.mark.docker
def test_a_request_is_answered_whole_whatever_way_modelhost_is_switched_even_in_a_quick_look(
    everything: dict[str, Any],
) -> None:
    rows = [row for row in everything["benchmarks"]["modelhost.swap"]["rows"] if row["way"].startswith("modelhost")]
    assert [(row["failed"], row["mixed"]) for row in rows] == [(0, 0)] * 2


def test_the_name_of_a_package_stands_for_all_in_it() -> None:
    assert meant("modelhost") == ["modelhost.swap", "modelhost.large", "modelhost.ways", "modelhost.lazy"]
    assert meant("modelhost.swap") == ["modelhost.swap"]
    assert meant("switch") == ["switch"]


def test_a_run_of_some_leaves_the_rest_of_the_days_file(tmp_path: Path) -> None:
    place = tmp_path / "today.json"
    assert measured(place) == measured(None) == {}
    place.write_text(json.dumps({"date": "today", "benchmarks": {"switch": {"rows": []}}}))
    assert measured(place) == {"switch": {"rows": []}}


def test_an_unknown_benchmark_is_named_with_those_that_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks", "swich"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "swich" in done.stderr and "switch" in done.stderr
