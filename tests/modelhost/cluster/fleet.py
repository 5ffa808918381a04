"""Three replicas on one registry, people who use them all the time, and whoever promotes and rolls back."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.desired import Desired, DesiredLog
from modelhost.cluster.place import place_at
from tests.modelhost.cluster.replica import TIMINGS
from tests.modelhost.serving.workshop import Workshop

ROOT = Path(__file__).parents[3]
PATIENCE = 120.0  # seconds that a state may take to come about on a loaded machine; none of the tests waits them out
KEEPING = 4  # users of each replica who keep their connection
PAUSE = 0.02  # seconds between two requests of a user


@dataclass
class Replica:
    """A process, its home and its port."""

    root: Path
    home: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.home.name

    def start(self) -> None:
        self.home.mkdir(exist_ok=True)
        (self.home / "port").unlink(missing_ok=True)
        with (self.home / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.modelhost.cluster.replica", str(self.root), str(self.home)],
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    def tell(self, what: str, *versions: str) -> None:
        """`slow` or `unable`, for these versions; none takes it back."""
        new = self.home / f"{what}.new"
        new.write_text(" ".join(versions))
        new.rename(self.home / what)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait(30)

    def line(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", int((self.home / "port").read_text()), timeout=PATIENCE)

    def ask(self, path: str, line: http.client.HTTPConnection | None = None) -> tuple[int, dict[str, Any]]:
        """On the `line`, which stays open, or on a fresh one."""
        connection = line or self.line()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            if line is None:
                connection.close()

    def health(self) -> dict[str, Any]:
        return self.ask("/health")[1]

    @property
    def is_ready(self) -> bool:
        return self.ask("/health")[0] == 200

    @property
    def serves(self) -> int:
        return int(self.health()["serves"])


@dataclass
class Users:
    """For each replica some who keep their connection and one with a fresh one each time, asking all the time. What
    went wrong is kept in words; `seen` has the generations that each of them was answered by."""

    replicas: list[Replica]
    wrong: list[str] = field(default_factory=list)
    seen: dict[str, list[int]] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)
    _done: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def begin(self) -> None:
        for replica in self.replicas:
            for number in range(KEEPING + 1):
                seen = self.seen[f"{replica.name} {number}"] = []
                self._threads.append(threading.Thread(target=self._use, args=(replica, seen, number > 0)))
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _use(self, replica: Replica, seen: list[int], keeps: bool) -> None:
        line: http.client.HTTPConnection | None = None
        while not self._done.wait(PAUSE):
            if replica.name in self.spared:
                line = _hang_up(line)
                continue
            try:
                line = line or (replica.line() if keeps else None)
                status, answer = replica.ask("/answer", line)
            except (OSError, http.client.HTTPException) as error:
                line = _hang_up(line)
                if replica.name not in self.spared:
                    self.wrong.append(f"{replica.name}: {type(error).__name__}: {error}")
                continue
            if replica.name in self.spared:
                continue  # it was asked before, and may answer as one that has just begun
            versions = {words.split()[-1] for words in answer.get("words", {}).values()}
            if status != 200 or len(versions) != 1:
                self.wrong.append(f"{replica.name}: {status} {answer}")
            else:
                seen.append(int(answer["generation"]))
        _hang_up(line)


def _hang_up(line: http.client.HTTPConnection | None) -> None:
    if line is not None:
        line.close()


@dataclass
class Fleet:
    """`begin` publishes, starts three replicas, promotes 1.0.0 and lets users in."""

    path: Path
    replicas: list[Replica] = field(default_factory=list)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def __post_init__(self) -> None:
        self.shop = Workshop(self.path / "shop")
        self.replicas = [Replica(self.shop.root, self.path / name) for name in ("anna", "bert", "carl")]
        self.users = Users(self.replicas)
        self.coordinator = Coordinator(place_at(self.shop.root, "translator"), self.shop.registry, TIMINGS)

    @property
    def desired(self) -> Desired:
        return DesiredLog(place_at(self.shop.root, "translator")).read()

    def begin(self, *versions: str) -> None:
        for version in versions:
            mate = self.shop.publish("encoder", version)
            self.shop.publish("decoder", version, mates={"encoder": mate})
        for replica in self.replicas:
            replica.start()
        for replica in self.replicas:
            self.until(lambda r=replica: (r.home / "port").exists(), f"{replica.name} runs")  # type: ignore[misc]
        self.promote(versions[0])
        self.until_all_serve(1)
        self.users.begin()
        self.until(lambda: all(self.users.seen.values()), "every user was answered")

    def promote(self, version: str, patience: float = PATIENCE) -> int:
        changes = {"encoder": version, "decoder": version}
        why = f"{version} is better"
        went = self.coordinator.promote(changes, who="ann", why=why, patience=patience, at_least=1)
        return went.committed.generation

    def promoting(self, version: str, patience: float = PATIENCE) -> Future[int]:
        return self.threads.submit(self.promote, version, patience)

    def rollback(self) -> int:
        return self.coordinator.rollback(who="bob", reason="worse").committed.generation

    def both_served(self) -> None:
        """1.0.0, then 2.0.0, which all serve: there is something to go back to."""
        self.begin("1.0.0", "2.0.0")
        assert self.promote("2.0.0") == 2
        self.until_all_serve(2)

    def until_runs(self, replica: Replica) -> None:
        self.until(lambda: (replica.home / "port").exists() and replica.is_ready, f"{replica.name} is back")

    def until_all_serve(self, generation: int, replicas: Iterable[Replica] | None = None) -> None:
        for replica in self.replicas if replicas is None else replicas:
            self.until(lambda r=replica: r.serves == generation and r.is_ready, f"{replica.name} serves {generation}")  # type: ignore[misc]

    def until(self, state: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not state():
            assert time.monotonic() < deadline, f"never came to be: {what}\n{self._outputs()}"
            time.sleep(0.02)

    def _outputs(self) -> str:
        return "\n".join((each.home / "output").read_text()[-2000:] for each in self.replicas)

    def end(self) -> None:
        self.users.end()
        for replica in self.replicas:
            if replica.process is not None and replica.process.poll() is None:
                os.kill(replica.process.pid, signal.SIGCONT)
                replica.process.terminate()
        for replica in self.replicas:
            if replica.process is not None:
                try:
                    replica.process.wait(30)
                finally:
                    replica.process.kill()
        self.threads.shutdown()
        self.shop.end()
