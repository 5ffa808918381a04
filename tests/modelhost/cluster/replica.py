"""A replica of a service: a real process with a tiny loader, an HTTP server and a follower. Files command its loader.

`<home>/slow`: seconds that a load of the version named in the rest of the line takes; `<home>/unable`: versions whose
load fails. `GET /answer` says what answered, `GET /health` who is ready.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from modelhost.cluster.follower import Follower
from modelhost.cluster.place import place_at
from modelhost.cluster.timings import Timings
from modelhost.errors import ModelHostError
from modelhost.loading.base import Loaded, Placement
from modelhost.loading.checks import standard
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.registry.base import Entry
from modelhost.registry.directory import DirectoryRegistry
from modelhost.serving.history import History
from modelhost.serving.serving import Serving

# A ttl so long that a process which a busy machine starves for some seconds is not taken for dead.
TIMINGS = Timings(ttl=8.0, beat=0.2, poll=0.05, patience=120.0, retry=0.3)


class TextLoader:
    """Its models are the words in their files."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def estimate(self, entry: Entry, placement: Placement) -> int:
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        while entry.version in self._told("slow"):
            time.sleep(0.02)
        if entry.version in self._told("unable"):
            raise MemoryError("no device is free")
        return Loaded(
            entry, (entry.path / "weights.safetensors").read_text().strip(), entry.info.bytes, placement, lambda: None
        )

    def warm_up(self, loaded: Loaded) -> None:
        assert loaded.model

    def _told(self, what: str) -> list[str]:
        try:
            return (self._home / what).read_text().split()
        except FileNotFoundError:
            return []


def answering(serving: Serving, follower: Follower) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one packet: those who keep their connection wait for no acknowledgement

        def do_GET(self) -> None:
            status, answer = self._health() if self.path == "/health" else self._answer()
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> tuple[int, dict[str, Any]]:
            try:
                with serving.lease() as models:
                    words = {name: each.model for name, each in models.items()}
                    return 200, {"generation": models.generation, "words": words}
            except ModelHostError as error:
                return error.status, {"error": str(error)}

        def _health(self) -> tuple[int, dict[str, Any]]:
            readiness = follower.ready()
            about = follower.status().model_dump(mode="json")
            return 200 if readiness.ready else 503, {**about, "away": readiness.away, "why": readiness.reason}

        def log_message(self, format: str, *arguments: object) -> None:
            return

    return Handler


def main(root: Path, home: Path) -> None:
    registry = DirectoryRegistry(root)
    pool = Pool(registry, {"safetensors": TextLoader(home)}, Budget(1_000_000), checks=standard())
    serving = Serving(registry, pool, History(home / "history.jsonl"), keep_previous=True)
    follower = Follower(serving, place_at(root, "translator"), TIMINGS, name=home.name, memory=home / "remembered.json")
    server = ThreadingHTTPServer(("127.0.0.1", 0), answering(serving, follower))
    server.daemon_threads = True
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    follower.start()
    port = home / "port.new"
    port.write_text(str(server.server_port))
    port.rename(home / "port")
    server.serve_forever(poll_interval=0.05)
    follower.close()
    serving.close(5.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
