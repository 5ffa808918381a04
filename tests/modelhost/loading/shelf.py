"""A registry in a dictionary and loaders that keep count: what the pool cannot do without, and nothing more."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from modelhost.errors import Unknown
from modelhost.loading.base import Loaded, Placement
from modelhost.metadata import Environment, File, Interface, Tensor, VersionInfo
from modelhost.registry.base import LATEST, Entry, Status, StatusChange


def version_info(component: str, version: str, size: int = 1, loader: str = "counting") -> VersionInfo:
    text = Tensor(name="text", datatype="BYTES", shape=(-1,))
    content = hashlib.sha256(f"{component} {version}".encode()).hexdigest()
    return VersionInfo(
        component=component,
        version=version,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        loader=loader,
        note="for a test",
        metrics={"bleu": 30.0},
        training_data=("corpus",),
        environment=Environment(python="3.11"),
        preprocessing="none",
        postprocessing="none",
        interface=Interface(inputs=(text,), outputs=(text,), shape="text/1"),
        files=(File(path="weights.bin", bytes=size, sha256=content, fast=content[:32]),),
    )


@dataclass
class Shelf:
    """A registry of versions that have no files."""

    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def add(self, component: str, version: str, size: int = 1, loader: str = "counting") -> Entry:
        entry = Entry(version_info(component, version, size, loader), Path("/nowhere"), Status.STABLE)
        self.entries[component, version] = entry
        return entry

    def components(self) -> list[str]:
        return sorted({component for component, _ in self.entries})

    def versions(self, component: str) -> list[Entry]:
        return [entry for (name, _), entry in self.entries.items() if name == component]

    def find(self, component: str, version: str = LATEST) -> Entry:
        if (component, version) not in self.entries:
            raise Unknown(f"there is no {component} {version}", "add it")
        return self.entries[component, version]

    def mark(self, component: str, version: str, status: Status, who: str, why: str) -> StatusChange:
        entry = self.entries[component, version]
        self.entries[component, version] = Entry(entry.info, entry.path, status)
        return StatusChange(datetime.now(UTC), version, status, who, why)

    def log(self, component: str) -> list[StatusChange]:
        return []


class Model:
    """Remembers that it was closed, and refuses to be used afterwards."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = 0

    def use(self) -> str:
        assert not self.closed, f"{self.name} was used after its close"
        return self.name


class CountingLoader:
    """Counts loads and closes of each version; can be made to fail, to wait, or to come out larger than it said."""

    def __init__(self) -> None:
        self.loads: Counter[str] = Counter()
        self.models: list[Model] = []
        self.warmed: list[str] = []
        self.failing: dict[str, BaseException] = {}
        self.failing_warm_up: dict[str, BaseException] = {}
        self.sizes: dict[str, int] = {}
        self.gates: dict[str, threading.Event] = {}
        self.begun: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def gate(self, name: str) -> threading.Event:
        """A load of `name` waits for the event; `begun[name]` tells that it has begun."""
        self.begun[name] = threading.Event()
        self.gates[name] = threading.Event()
        return self.gates[name]

    def estimate(self, entry: Entry, placement: Placement) -> int:
        return entry.info.bytes

    def load(self, entry: Entry, placement: Placement) -> Loaded:
        name = f"{entry.component} {entry.version}"
        with self._lock:
            self.loads[name] += 1
        if name in self.gates:
            self.begun[name].set()
            assert self.gates[name].wait(120)
        if name in self.failing:
            raise self.failing[name]
        model = Model(name)
        with self._lock:
            self.models.append(model)

        def close() -> None:
            with self._lock:
                model.closed += 1

        return Loaded(entry, model, self.sizes.get(name, entry.info.bytes), placement, close)

    def warm_up(self, loaded: Loaded) -> None:
        name = f"{loaded.component} {loaded.version}"
        if name in self.failing_warm_up:
            raise self.failing_warm_up[name]
        self.warmed.append(name)

    def closes(self, name: str) -> list[int]:
        """How often each model that was ever loaded under this name has been closed."""
        return [model.closed for model in self.models if model.name == name]
