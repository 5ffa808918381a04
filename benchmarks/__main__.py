"""All benchmarks, one after the other: `python -m benchmarks [NAME …] [--quick]`; one JSON file with all of it.

The name of a package stands for all that are in it: `python -m benchmarks modelhost`. Those that are named replace
what the day's file says of them, and leave the rest of it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.result import machine, publish
from benchmarks.summary import rows

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
# The options of a quick look: it shows that all of them run, and says nothing that is worth quoting.
QUICK = {
    "startup": ["--rounds", "2"],
    "rollback": ["--rollbacks", "2"],
    "deployment": ["--rounds", "1"],
    "switch": ["--switches", "10", "--clients", "24"],
    "throughput": ["--rounds", "3"],
    "engines": ["--rounds", "2", "--cases", "40"],
    "translating": ["--rounds", "1", "--seconds", "2"],
    "modelhost.swap": ["--switches", "12", "--restarts", "1", "--clients", "50", "--rest", "2"],
    "modelhost.large": ["--megabytes", "101", "--rounds", "2", "--starts", "1", "--rest", "2"],
    "modelhost.ways": ["--megabytes", "50", "--rounds", "1"],
    "modelhost.lazy": ["--megabytes", "50", "--rounds", "2", "--loads", "2"],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(QUICK)}; default: all")
    parser.add_argument("--quick", action="store_true", help="as few rounds as it takes to see them run")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="default: benchmarks/results/<date>.json; with --quick: none"
    )
    options = parser.parse_args()
    names = [found for name in options.names for found in meant(name)] or list(QUICK)
    if unknown := sorted(set(names) - set(QUICK)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there is: {', '.join(QUICK)}")
    today = datetime.date.today().isoformat()
    found, failed = {}, []
    for name in names:
        code, document = _run(name, QUICK[name] if options.quick else [])
        if document is not None:
            found[name] = document
        if code != 0:
            failed.append(name)
    place = options.json or (None if options.quick else RESULTS / f"{today}.json")
    if options.names and options.json is None:
        found = {**measured(place), **found}
    document = {"date": today, "machine": machine(), "benchmarks": found}
    if summary := list(rows(found)):
        document["summary"] = summary
        publish("All in all", summary, [f"{today}; the README quotes these where it says how fast."], None)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(document, indent=2) + "\n")
        print(f"written to {place}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measured(place: Path | None) -> dict[str, Any]:
    """What the day's file says already, which a run of some benchmarks leaves as it is; nothing without a file."""
    if place is None or not place.exists():
        return {}
    benchmarks: dict[str, Any] = json.loads(place.read_text())["benchmarks"]
    return benchmarks


def meant(name: str) -> list[str]:
    """The benchmarks of a package, or the one of that name, whether there is one or not."""
    return [each for each in QUICK if each.startswith(f"{name}.")] or [name]


def _run(name: str, options: list[str]) -> tuple[int, dict[str, Any] | None]:
    """One benchmark in a process of its own, so that none pays for what another imported or left running."""
    with tempfile.TemporaryDirectory() as place:
        document = Path(place) / "result.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--json", str(document)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return code, json.loads(document.read_text()) if document.exists() else None


if __name__ == "__main__":
    sys.exit(main())
