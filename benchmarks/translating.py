"""Translating through HTTP: the service with torch beside the service with CTranslate2, in turns in one run."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.load import Load, LoadResult, Shot
from benchmarks.result import arguments, publish

ROOT = Path(__file__).parent.parent
ENGINES = ("torch", "ctranslate2")
CLIENTS = (1, 16)
SENTENCES = 40


def main() -> int:
    options = arguments("POST /translate of the bundled service, with either engine.", rounds=4, seconds=5)
    from translator.score import read_cases

    cases = read_cases(ROOT / "translator" / "evaluation" / "zh-en.jsonl")
    shots = [Shot.post_json("/translate", {"text": case.source}) for case in cases[:: len(cases) // SENTENCES]]
    found: dict[tuple[str, int], list[LoadResult]] = {pair: [] for pair in itertools.product(ENGINES, CLIENTS)}
    with contextlib.ExitStack() as stack:
        urls = {engine: stack.enter_context(service(engine)) for engine in ENGINES}
        for _ in range(options.rounds):
            for engine, clients in found:
                found[engine, clients].append(loaded(urls[engine], shots, clients, options.seconds))
    notes = [
        f"{options.rounds} rounds of {options.seconds} s in turns, one text of the evaluation set in a request, "
        "one thread of computation; the clients run on the same processors.",
    ]
    publish("Translating through HTTP", table(found), notes, options.json)
    return 1 if any(result.failed for results in found.values() for result in results) else 0


@contextlib.contextmanager
def service(engine: str) -> Iterator[str]:
    """The service, ready; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"TRANSLATOR_ENGINE": engine, "TRANSLATOR_THREADS": "1", "OMP_NUM_THREADS": "1", "HOST": "127.0.0.1"}
    command = [sys.executable, "-m", "translator"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings, "PORT": str(port), "LOG_LEVEL": "warning"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        while not _ready(url):
            if process.poll() is not None:
                raise RuntimeError(f"the service with {engine} ended with {process.returncode}")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def loaded(url: str, shots: list[Shot], clients: int, seconds: int) -> LoadResult:
    load = Load(url, shots, clients=clients, answer="header:X-Model-Version", timeout=60)
    load.start()
    time.sleep(seconds)
    return load.stop()


def table(found: dict[tuple[str, int], list[LoadResult]]) -> list[dict[str, Any]]:
    """A row for each engine and number of clients; the ratios are those of the same rounds."""

    def rates(engine: str, clients: int) -> list[float]:
        return [one.requests / one.seconds for one in found[engine, clients]]

    rows = []
    for engine, clients in found:
        own, base = rates(engine, clients), rates("torch", clients)
        percentiles = {
            name: statistics.median(one.latencies[name] for one in found[engine, clients]) * 1000
            for name in ("p50", "p95")
        }
        rows.append(
            {
                "engine": engine,
                "clients": clients,
                "requests": sum(one.requests for one in found[engine, clients]),
                "failed": sum(one.failed for one in found[engine, clients]),
                "a second": round(statistics.median(own), 1),
                "of torch": round(statistics.median(a / b for a, b in zip(own, base, strict=True)), 2),
                "p50 ms": round(percentiles["p50"], 1),
                "p95 ms": round(percentiles["p95"], 1),
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
