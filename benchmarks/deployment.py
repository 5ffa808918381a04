"""The toolkit's own share of a deployment: the whole command, less what the engine alone takes for the same containers.

No gate but health, nobody watches, the image is there already. In each round one release is deployed over the other,
which stops the standby, starts a container, asks it until it is ready, and removes the old one; then the same is done
by the engine alone, through its API and through `docker run`.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import deployed
from benchmarks.command import Spent, spent
from benchmarks.result import arguments, publish
from tests.support.ports import free_ports
from tests.support.site import Site

PORT = 5000  # of the service within its container
MEMORY = 256 << 20


@dataclass(frozen=True)
class Round:
    """Seconds."""

    whole: Spent
    api: float
    docker: float

    @property
    def share(self) -> float:
        return self.whole.wall - self.api


def main() -> int:
    options = arguments("The toolkit's own share of a deployment.", rounds=10)
    with deployed.site() as site:
        one_round(site, 0)  # compiles
        rounds = [one_round(site, number) for number in range(1, options.rounds + 1)]
    notes = [
        f"{options.rounds} deployments over a warm standby, image present, no gate but health.",
        "The own share is the whole command less the engine alone through its API, in the same round.",
    ]
    publish("The toolkit's own share of a deployment", table(rounds), notes, options.json)
    return 0


def one_round(site: Site, number: int) -> Round:
    tag = deployed.TAGS[number % 2]
    whole = spent(site.command("deploy", tag), site.repository.path, site.environment)
    image = next(name for name in site.images() if f":{tag}-" in name)
    return Round(whole, _timed(by_api, image), _timed(by_docker, image))


def _timed(way: Callable[[str, str, int], float], image: str) -> float:
    (port,) = free_ports(1)
    return way(image, f"release-benchmark-{port}", port)


def by_api(image: str, name: str, port: int) -> float:
    """Start, wait until it is ready, stop, remove; by the client library that the toolkit uses."""
    import docker

    api = docker.APIClient(version="auto")
    try:
        began = time.perf_counter()
        host = api.create_host_config(port_bindings={PORT: ("127.0.0.1", port)}, mem_limit=MEMORY, init=True)
        made = api.create_container(image, name=name, ports=[PORT], host_config=host)["Id"]
        try:
            api.start(made)
            _await_ready(port)
            api.stop(made, timeout=5)
        finally:
            api.remove_container(made, force=True, v=True)
        return time.perf_counter() - began
    finally:
        api.close()


def by_docker(image: str, name: str, port: int) -> float:
    """The same by the `docker` command."""
    publish_at = f"127.0.0.1:{port}:{PORT}"
    began = time.perf_counter()
    try:
        _docker("run", "--detach", "--init", "--memory", str(MEMORY), "--publish", publish_at, "--name", name, image)
        _await_ready(port)
        _docker("stop", "--time", "5", name)
    finally:
        _docker("rm", "--force", "--volumes", name)
    return time.perf_counter() - began


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


def _await_ready(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            client.request("GET", "/health")
            if client.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
        finally:
            client.close()
    raise RuntimeError(f"nothing got ready on port {port}")


def table(rounds: list[Round]) -> list[dict[str, Any]]:
    base = statistics.median(one.api for one in rounds)

    def row(what: str, seconds: list[float]) -> dict[str, Any]:
        return {
            "what": what,
            "median s": round(statistics.median(seconds), 3),
            "least s": round(min(seconds), 3),
            "most s": round(max(seconds), 3),
            "of the engine alone": round(statistics.median(seconds) / base, 2),
        }

    return [
        row("release deploy, the whole command", [one.whole.wall for one in rounds]),
        row("the engine alone, through its API", [one.api for one in rounds]),
        row("docker run, stop, rm", [one.docker for one in rounds]),
        row("the toolkit's own share", [one.share for one in rounds]),
        row("CPU of the whole command", [one.whole.cpu for one in rounds]),
    ]


if __name__ == "__main__":
    sys.exit(main())
