"""What the switch costs a request: CPU of the nginx worker, and throughput, against plain `proxy_pass` in one run.

`plain` has the same headers, limits and log as the proxied path and one `proxy_pass` by name; `bare` has nothing but
the `proxy_pass`. All run in one nginx worker, in short turns, so that what else the machine does hits them alike;
each turn is compared with the plain one of its own round, and the median of those comparisons is told.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import echo
from benchmarks.result import arguments, publish
from benchmarks.switch import directory, free_port, manifest
from release.naming import nginx_identifier
from release.proxy import render
from release.proxy.base import Traffic
from release.proxy.master import Master
from release.proxy.traffic import FlagSwitch

CANARY = 50
TURN = 0.5  # seconds


@dataclass(frozen=True)
class Case:
    name: str
    port: int
    green: int | None = None  # per mille, where traffic is to be set


@dataclass(frozen=True)
class Turn:
    rate: float  # requests a second
    cpu: float  # microseconds of the worker's CPU a request


def main() -> int:
    options = arguments("CPU and throughput of the proxied path against plain proxy_pass.", rounds=60, connections=8)
    if shutil.which("wrk") is None:
        print("throughput needs wrk (Debian: apt install wrk)", file=sys.stderr)
        return 2
    with directory() as base:
        with free_backend(base) as port:
            free = compare(base / "free", port, options.rounds, options.connections)
        with echo.running("slot", delay=0.001) as port:
            slow = compare(base / "slow", port, options.rounds, options.connections)
    rows = [*table("costs nothing", free), *table("takes 1 ms", slow)]
    notes = [f"{options.rounds} rounds of {TURN} s each, {options.connections} connections, one worker, wrk pinned."]
    publish("The proxied path against plain proxy_pass", rows, notes, options.json)
    return 0


def compare(state: Path, port: int, rounds: int, connections: int) -> dict[str, list[Turn]]:
    """Turns of every case, in rounds."""
    with fronted(state, port) as (worker, switch, cases):
        turns: dict[str, list[Turn]] = {case.name: [] for case in cases}
        for number in range(rounds):
            for case in cases[number % len(cases) :] + cases[: number % len(cases)]:
                if case.green is not None:
                    switch.set(Traffic(case.green, "benchmark"))
                turns[case.name].append(_turn(worker, case.port, connections))
    return turns


def table(backend: str, turns: dict[str, list[Turn]]) -> list[dict[str, Any]]:
    plain = turns["plain"]
    return [
        {
            "backend": backend,
            "case": name,
            "requests/s": round(statistics.median(turn.rate for turn in those)),
            "of plain": round(statistics.median(a.rate / b.rate for a, b in zip(those, plain, strict=True)), 3),
            "CPU µs": round(statistics.median(turn.cpu for turn in those), 1),
            "more than plain": round(statistics.median(a.cpu - b.cpu for a, b in zip(those, plain, strict=True)), 1),
            "quartiles": _quartiles([a.cpu - b.cpu for a, b in zip(those, plain, strict=True)]),
        }
        for name, those in turns.items()
    ]


def _quartiles(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.1f} … {high:.1f}"


def _turn(worker: int, port: int, connections: int) -> Turn:
    before = _cpu(worker)
    wrk = ["wrk", "-t1", f"-c{connections}", "-d60s", f"http://127.0.0.1:{port}/translate"]
    early = ["timeout", "--preserve-status", "-s", "INT", str(TURN)]  # wrk counts in seconds; at SIGINT it reports
    said = subprocess.run([*_pinned(1), *early, *wrk], capture_output=True, text=True, check=False).stdout
    cpu = _cpu(worker) - before
    counted = re.search(r"(\d+) requests in ([\d.]+)(m?)s", said)
    if counted is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    count, seconds = int(counted[1]), float(counted[2]) / (1000 if counted[3] else 1)
    if count == 0:  # a machine so busy that nothing came back in time
        return _turn(worker, port, connections)
    return Turn(count / seconds, cpu / count)


def _cpu(pid: int) -> float:
    """Microseconds that the process has run: the scheduler's own count, finer than utime + stime."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


def _pinned(cpu: int) -> list[str]:
    allowed = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(allowed[min(cpu, len(allowed) - 1)])]


@contextlib.contextmanager
def fronted(state: Path, port: int) -> Iterator[tuple[int, FlagSwitch, list[Case]]]:
    """The configuration that the toolkit renders, with one worker, and the two plain servers beside its own."""
    of = manifest({"blue": port, "green": port + 1 if port < 65535 else port - 1})
    of = of.model_copy(update={"slots": of.slots.model_copy(update={"green": port})})  # one backend is both slots
    layout = render.Layout(state, "0123456789abcdef", workers=1)
    for place in (layout.logs, layout.directory / "tmp", layout.traffic):
        place.mkdir(parents=True)
    plain, bare = free_port(), free_port()
    text = render.managed(of, layout).text
    conf = layout.directory / "nginx.conf"
    conf.write_text(_with(text, _plain(text, nginx_identifier(of.scope), of.proxy.listen, plain), _bare(port, bare)))
    master, switch = Master("nginx", conf, layout.directory), FlagSwitch(layout.traffic)
    master.start()
    time.sleep(0.3)
    worker = int(Path(f"/proc/{master.pid()}/task/{master.pid()}/children").read_text().split()[0])
    os.sched_setaffinity(worker, {min(os.sched_getaffinity(0))})
    listen = of.proxy.listen
    whole = [
        Case("flags, green", listen, 1000),
        Case("flags, blue", listen, 0),
        Case("flags, canary 5 %", listen, CANARY),
    ]
    switch.prepare("benchmark", [0, CANARY, 1000])
    try:
        yield worker, switch, [Case("plain", plain), Case("bare", bare), *whole]
    finally:
        master.stop()


def _plain(text: str, identifier: str, listen: int, port: int) -> str:
    """The rendered public server, with its choice of a slot replaced by one `proxy_pass`."""
    server = text[text.index("    server {") : text.index("        location = /.release/slot")]
    chosen = re.compile(r"( *)# `proxy_pass` by name.*?return 503;", re.DOTALL)
    settings = f'set ${identifier}_slot blue; set ${identifier}_bucket ""; proxy_pass http://{identifier}_blue;'
    server, count = chosen.subn(settings, server)
    assert count == 1, "the template has changed: this benchmark no longer finds the choice of a slot in it"
    return server.replace(f":{listen};", f":{port};") + "    }\n"


def _bare(backend: int, port: int) -> str:
    return (
        f"upstream bare {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 10000; }}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://bare;\n"
        'proxy_http_version 1.1; proxy_set_header Connection ""; } }\n'
    )


def _with(text: str, *servers: str) -> str:
    end = text.rindex("}")
    return text[:end] + "\n".join(servers) + text[end:]


@contextlib.contextmanager
def free_backend(base: Path) -> Iterator[int]:
    """An nginx that answers at once, on the CPU that wrk has."""
    port, place = free_port(), base / "backend"
    place.mkdir()
    conf = place / "nginx.conf"
    conf.write_text(
        f"pid {place}/nginx.pid; error_log {place}/error.log; events {{}}\nhttp {{ access_log off;\n"
        f"keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; return 200 '{'x' * 100}'; }} }}\n"
    )
    (place / "logs").mkdir()
    subprocess.run([*_pinned(1), "nginx", "-e", "stderr", "-c", str(conf)], check=True)
    try:
        yield port
    finally:
        Master("nginx", conf, place).stop()


if __name__ == "__main__":
    sys.exit(main())
