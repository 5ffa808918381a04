"""Ways to bring weights into memory, and to be sure that they are the right ones: warm files and cold ones, one run.

Each way has a process of its own, so that none finds memory that another left; all read the same weights. Files are
cold where the kernel could be made to forget them, which takes no privilege; the notes say how much of them was left.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.modelhost import cache, memory
from benchmarks.modelhost.published import LARGE, REGISTRY, VERSIONS, publish_large, weights
from benchmarks.modelhost.service import ENVIRONMENT, folder
from benchmarks.result import arguments, publish
from modelhost.registry import digests
from modelhost.registry.base import Entry
from modelhost.registry.directory import DirectoryRegistry

PICKLE = "weights.pt"
Way = Callable[[Entry, Path], Any]


def mapped(entry: Entry, pickle: Path) -> Any:
    """What modelhost does: a module on `meta`, the mapped tensors assigned."""
    from benchmarks.modelhost import network
    from modelhost.loading.base import Placement
    from modelhost.loading.safetensors import SafetensorsLoader

    loader = SafetensorsLoader(lambda entry: network.build(entry.info.settings))
    return loader.load(entry, Placement()).model.module


def copied(entry: Entry, pickle: Path) -> Any:
    """A module with memory of its own and nothing in it, into which the tensors are copied."""
    from safetensors.torch import load_file

    module = _hollow(entry).to_empty(device="cpu")
    module.load_state_dict(load_file(entry.path / entry.info.files[0].path))
    return module


def usual(entry: Entry, pickle: Path) -> Any:
    """As most code does it: the module is made, random weights and all, and then loaded into."""
    from safetensors.torch import load_file

    from benchmarks.modelhost import network

    module = network.build(entry.info.settings)
    module.load_state_dict(load_file(entry.path / entry.info.files[0].path))
    return module


def pickled(entry: Entry, pickle: Path) -> Any:
    """torch.load, and what it read assigned."""
    return _from_pickle(entry, pickle, mapped=False)


def pickled_mapped(entry: Entry, pickle: Path) -> Any:
    """torch.load(mmap=True), and what it mapped assigned."""
    return _from_pickle(entry, pickle, mapped=True)


def fast_hash(entry: Entry, pickle: Path) -> None:
    """XXH3-128, at start-up."""
    digests.fast_of(entry.path / entry.info.files[0].path)


def full_hash(entry: Entry, pickle: Path) -> None:
    """SHA-256, on demand."""
    digests.sha256_of(entry.path / entry.info.files[0].path)


WAYS: Mapping[str, Way] = {
    "safetensors, mapped, assigned": mapped,
    "safetensors, copied": copied,
    "safetensors, module made first, copied": usual,
    "torch.load": pickled,
    "torch.load(mmap=True)": pickled_mapped,
    "fast hash, XXH3-128": fast_hash,
    "full hash, SHA-256": full_hash,
}


def main() -> int:
    if "--way" in sys.argv:
        return _one()
    options = arguments("Ways of loading.", megabytes=1007, rounds=5)
    with folder() as place:
        size = publish_large(place, options.megabytes, VERSIONS[:1])
        _write_pickle(place)
        rows = [_row(way, _measured(place, way, options.rounds)) for way in WAYS]
    base = rows[0]["warm ms"]
    rows = [row | {"warm, of mapped": round(row["warm ms"] / base, 1)} for row in rows]
    left = max(row.pop("still cached") for row in rows)
    notes = [
        f"{size / 1e6:,.0f} MB of random fp32 weights in one file; medians of {options.rounds} rounds, one thread;"
        f" torch {version('torch')}, safetensors {version('safetensors')}.",
        "first use: a forward pass of one row through all of it, which touches every mapped page for the first time;"
        " a use: the next one. Anonymous: memory that no file stands behind, after a use.",
        f"Cold: the kernel was asked to forget the file; at most {left:.0%} of it was still cached."
        " Under a virtual machine the host may have it.",
    ]
    publish("Ways of loading", rows, notes, options.json)
    return 0


def _measured(place: Path, way: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.modelhost.ways", "--way", way, str(place), str(rounds)]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def _one() -> int:
    """In the process of one way: rounds, and what they took, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("place", type=Path)
    parser.add_argument("rounds", type=int)
    options = parser.parse_args()
    way = WAYS[options.way]
    entry = DirectoryRegistry(options.place / REGISTRY).find(LARGE, VERSIONS[0])
    pickle = options.place / PICKLE
    path = pickle if way in (pickled, pickled_mapped) else weights(options.place, LARGE, VERSIONS[0])
    cache.warm([path])
    before = _ready()
    _round(way, entry, pickle)  # what is slow once
    warm = [_round(way, entry, pickle) for _ in range(options.rounds)]
    cold, left = [], 0.0
    for _ in range(options.rounds):
        left = max(left, cache.drop(path))
        cold.append(_round(way, entry, pickle))
    print(json.dumps({"warm": warm, "cold": cold, "before": before, "left": left}))
    return 0


def _ready() -> int:
    """All is imported, and torch has computed once: the anonymous bytes from which a way starts."""
    import safetensors.torch  # noqa: F401
    import torch

    from benchmarks.modelhost import network

    torch.set_num_threads(1)
    network.Telling(1, 512)(torch.ones(512))
    return memory.anonymous()


def _round(way: Way, entry: Entry, pickle: Path) -> dict[str, float]:
    """Seconds of the load, the first use and the next, and the anonymous bytes afterwards; nothing is left of it."""
    import torch

    from benchmarks.modelhost import network

    started = time.perf_counter()
    module = way(entry, pickle)
    found = {"load": time.perf_counter() - started}
    with torch.inference_mode():
        for name in ("first", "next") if module is not None else ():
            started = time.perf_counter()
            network.use(module, entry.info.settings)
            found[name] = time.perf_counter() - started
    found["anonymous"] = memory.anonymous()
    del module
    gc.collect()
    return found


def _row(way: str, found: Mapping[str, Any]) -> dict[str, Any]:
    def middle(which: str, part: str) -> float | str:
        values = [each[part] * 1000 for each in found[which] if part in each]
        return round(statistics.median(values), 1) if values else "-"

    kept = statistics.median(each["anonymous"] for each in found["warm"]) - found["before"]
    return {
        "way": way,
        "warm ms": middle("warm", "load"),
        "first use ms": middle("warm", "first"),
        "cold ms": middle("cold", "load"),
        "first use, cold ms": middle("cold", "first"),
        "a use ms": middle("warm", "next"),
        "anonymous MB": max(round(kept / 1e6), 0),
        "still cached": found["left"],
    }


def _hollow(entry: Entry) -> Any:
    import torch

    from benchmarks.modelhost import network

    with torch.device("meta"):
        return network.build(entry.info.settings)


def _from_pickle(entry: Entry, pickle: Path, mapped: bool) -> Any:
    import torch

    module = _hollow(entry)
    module.load_state_dict(torch.load(pickle, mmap=mapped, weights_only=True), assign=True)
    return module


def _write_pickle(place: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(weights(place, LARGE, VERSIONS[0])), place / PICKLE)


if __name__ == "__main__":
    sys.exit(main())
