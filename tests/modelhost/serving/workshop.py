"""A service with a real registry on disk, whose models are small files that say which version they are."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.loading.base import Loaded, Placement
from modelhost.loading.checks import standard
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.metadata import Interface
from modelhost.registry.base import Entry, Status
from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.publish import publish
from modelhost.serving.events import Event
from modelhost.serving.fallback import fallback
from modelhost.serving.history import History
from modelhost.serving.serving import Serving
from tests.modelhost.loading.published import metadata

PATIENCE = 120.0  # seconds that a state may take to come about on a loaded machine; none of the tests waits them out


class Text:
    """A model that answers with the content of its file, and refuses to be used after its close."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.closed = 0

    def __call__(self) -> str:
        assert not self.closed, f"{self.content} was used after its close"
        return self.content


class TextLoader:
    """`failing`: versions whose load or warm-up raises; `gates`: versions whose load waits."""

    def __init__(self) -> None:
        self.models: list[Text] = []
        self.loads: Counter[str] = Counter()
        self.failing: dict[str, Exception] = {}
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def gate(self, name: str) -> threading.Event:
        self.begun[name] = threading.Event()
        self.gates[name] = threading.Event()
        return self.gates[name]

    def estimate(self, entry: Entry, placement: Placement) -> int:
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        name = f"{entry.component} {entry.version}"
        if name in self.gates:
            self.begun[name].set()
            assert self.gates[name].wait(PATIENCE)
        model = Text((entry.path / "weights.safetensors").read_text().strip())
        with self._lock:
            self.loads[name] += 1
            self.models.append(model)

        def close() -> None:
            with self._lock:
                model.closed += 1

        return Loaded(entry, model, entry.info.bytes, placement, close)

    def warm_up(self, loaded: Loaded) -> None:
        name = f"{loaded.component} {loaded.version}"
        if name in self.failing:
            raise self.failing[name]

    def closes(self, name: str) -> list[int]:
        return [model.closed for model in self.models if model.content == name]


@dataclass
class Workshop:
    """`publish` versions, then `serve`."""

    path: Path
    loader: TextLoader = field(default_factory=TextLoader)
    heard: list[Event] = field(default_factory=list)
    open: list[Serving] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.path / "models"

    @property
    def registry(self) -> DirectoryRegistry:
        return DirectoryRegistry(self.root)

    def publish(
        self,
        component: str,
        *versions: str,
        mates: dict[str, str] | None = None,
        stable: bool = True,
        content: str | None = None,
        **more: Any,
    ) -> str:
        """Publishes versions whose file says what they are, or `content`; returns the digest of the last, for a mate to
        name."""
        for version in versions:
            source = self.path / "sources" / f"{component}-{version}"
            source.mkdir(parents=True)
            (source / "weights.safetensors").write_text((content or f"{component} {version}").ljust(64))
            publish(self.root, source, metadata(component, version, mates=mates or {}, **more), who="ann")
            if stable:
                self.mark(component, version, Status.STABLE)
        return self.registry.find(component, versions[-1]).info.digest

    def mark(self, component: str, version: str, status: Status) -> None:
        self.registry.mark(component, version, status, "ann", "looked at")

    def serve(self, first: dict[str, str] | None = None, *, budget: int = 1_000_000, **settings: Any) -> Serving:
        """A service on the registry and the history of this workshop; with `first` it starts with these versions."""
        pool = Pool(
            self.registry,
            {"safetensors": self.loader},
            Budget(budget),
            checks=standard(),
            aside=settings.pop("aside", lambda work: work()),
            patience=settings.pop("patience", 30.0),
        )
        registry = settings.pop("registry", self.registry)
        serving = Serving(registry, pool, History(self.path / "history.jsonl"), **settings)
        serving.subscribe(self.heard.append)
        self.open.append(serving)
        if first is not None:
            serving.start(first)
        return serving

    def dictionary(self, component: str = "model") -> Loaded:
        """A fallback for a component."""
        source = self.path / "dictionary.txt"
        source.write_text("cat → chat")
        text = {"name": "x", "datatype": "BYTES", "shape": [-1]}
        shape = Interface.model_validate({"inputs": [text], "outputs": [text], "shape": "tiny/1"})
        return fallback(component, lambda: f"{component} by dictionary", source, shape, "word by word")

    def end(self) -> None:
        for gate in self.loader.gates.values():
            gate.set()
        for serving in self.open:
            serving.close(5.0)


def answer(serving: Serving) -> dict[str, str]:
    """What a request gets: component → the words of its model."""
    with serving.lease() as models:
        return {name: each.model() for name, each in models.items()}


def during(work: Callable[[], None], request: Callable[[], None], threads: int = 16) -> int:
    """Runs requests in threads until the work is done; returns how many there were. Raises the first error."""
    done = threading.Event()

    def requests() -> int:
        count = 0
        while not done.is_set():
            request()
            count += 1
            time.sleep(0.0005)
        return count

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(requests) for _ in range(threads)]
        try:
            work()
        finally:
            done.set()
        return sum(each.result(60) for each in running)


def eventually(state: Callable[[], bool]) -> None:
    """Waits for a state that another thread brings about."""
    deadline = time.monotonic() + PATIENCE
    while not state():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.005)
