"""What a switch loses: flag files against `nginx -s reload`, in one run, under the same load.

Clients keep their connections and never retry; half of their requests are POST. A switch happens only while at least
16 requests are in flight. The reload is the control: it must lose some, or the load could not see a loss.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import echo
from benchmarks.load import Load, LoadResult, Shot
from benchmarks.result import arguments, publish
from release.config.manifest import Manifest
from release.naming import Slot
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx
from release.proxy.ports import free

SHOTS = [Shot(path="/x"), Shot.post_json("/y", {"text": "今天天气很好。" * 10})]
IN_FLIGHT = 16
BETWEEN = 100  # requests from one switch to the next


def main() -> int:
    options = arguments("Lost requests and switch time: flag files against nginx -s reload.", switches=200, clients=32)
    with (
        echo.running("blue", delay=0.002) as blue,
        echo.running("green", delay=0.002) as green,
        directory() as base,
    ):
        slots = {"blue": blue, "green": green}
        rows = [
            measured("flag files", flags(slots, base / "flags"), options.switches, options.clients),
            measured("nginx -s reload", reloads(slots, base / "reload"), options.switches, options.clients),
        ]
    kept, control = rows[0]["failed"] == 0, rows[1]["failed"] > 0
    notes = [
        "switch: flag files, the rename(2); reload, from the signal to the first answer of the other slot.",
        f"flag files lost {rows[0]['failed']}; the control {'sees' if control else 'does NOT see'} losses.",
    ]
    publish("Requests lost while traffic moves", rows, notes, options.json)
    return 0 if kept and control else 1


Switching = contextlib.AbstractContextManager[tuple[str, Callable[[Slot], float]]]


def measured(way: str, switching: Switching, switches: int, clients: int) -> dict[str, Any]:
    """One row: that many switches under load. `switching` gives the URL and a function that returns microseconds."""
    with switching as (url, move), Load(url, SHOTS, clients=clients) as load:
        times, flying = [], []
        for turn in range(switches):
            flying.append(_await_flight(load))
            times.append(move(Slot.GREEN if turn % 2 == 0 else Slot.BLUE))
            sent = load.sent
            while load.sent < sent + BETWEEN:
                time.sleep(0.001)
        result = load.stop()
    return _row(way, result, times, flying)


def _await_flight(load: Load) -> int:
    while (flying := load.in_flight) < IN_FLIGHT:
        time.sleep(0)
    return flying


def _row(way: str, result: LoadResult, times: list[float], flying: list[int]) -> dict[str, Any]:
    return {
        "way": way,
        "switches": len(times),
        "least in flight": min(flying),
        "requests": result.requests,
        "failed": result.failed,
        "switch µs, median": round(statistics.median(times), 1),
        "switch µs, p99": round(sorted(times)[int(len(times) * 0.99) - 1], 1),
        "why": ", ".join(f"{count} {reason}" for reason, count in result.reasons.items()) or "-",
    }


@contextlib.contextmanager
def flags(slots: dict[str, int], state: Path) -> Iterator[tuple[str, Callable[[Slot], float]]]:
    proxy = ManagedNginx(manifest(slots), state)
    proxy.install()
    proxy.switch.prepare("benchmark", [0, 1000])
    proxy.switch.set(Traffic.all_to(Slot.BLUE, "benchmark"))
    try:
        yield proxy.public_url, lambda slot: proxy.switch.set(Traffic.all_to(slot, "benchmark")).microseconds
    finally:
        proxy.uninstall()


@contextlib.contextmanager
def reloads(slots: dict[str, int], base: Path) -> Iterator[tuple[str, Callable[[Slot], float]]]:
    """The usual way: one upstream, its file rewritten, `nginx -t`, `nginx -s reload`."""
    base.mkdir()
    port, conf, upstream = free_port(), base / "nginx.conf", base / "upstream.conf"
    _point(upstream, slots["blue"])
    conf.write_text(RELOADED.format(base=base, port=port, upstream=upstream))
    nginx = ["nginx", "-e", str(base / "error.log"), "-c", str(conf)]
    subprocess.run(nginx, check=True)

    def move(slot: Slot) -> float:
        _point(upstream, slots[str(slot)])
        subprocess.run([*nginx, "-q", "-t"], check=True, capture_output=True)
        started = time.perf_counter()
        subprocess.run([*nginx, "-s", "reload"], check=True, capture_output=True)
        while _answering(port) != str(slot):
            time.sleep(0.001)
        return (time.perf_counter() - started) * 1e6

    try:
        yield f"http://127.0.0.1:{port}", move
    finally:
        subprocess.run([*nginx, "-s", "stop"], check=True, capture_output=True)


RELOADED = """
pid {base}/nginx.pid; error_log {base}/error.log; worker_processes 4; events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {base}/body; proxy_temp_path {base}/proxy; keepalive_requests 10000;
  fastcgi_temp_path {base}/f; uwsgi_temp_path {base}/u; scgi_temp_path {base}/s;
  include {upstream};
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://service; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_set_header Host $host; }} }} }}
"""


def _point(upstream: Path, port: int) -> None:
    upstream.write_text(f"upstream service {{ server 127.0.0.1:{port}; keepalive 64; keepalive_timeout 4s; }}\n")


def _answering(port: int) -> str | None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            return connection.getresponse().headers["X-Answer"]
        except (OSError, http.client.HTTPException):
            return None


def manifest(slots: dict[str, int], **proxy: Any) -> Manifest:
    section = {"listen": free_port(), "admin": free_port(), "address": "127.0.0.1"} | proxy
    return Manifest.model_validate(
        {"service": "benchmark", "container": {"port": 80}, "slots": slots, "proxy": section}
    )


_ports = iter(range(23500, 28000, 7))


def free_port() -> int:
    return next(port for port in _ports if free("127.0.0.1", port))


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A directory that nginx's own user can reach."""
    base = Path(tempfile.mkdtemp(prefix="release-benchmark-"))
    base.chmod(0o755)
    try:
        yield base
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    sys.exit(main())
