"""Members in threads of this process, each with a pool and a loader of its own, on one registry."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelhost.cluster.coordinator import Coordinator
from modelhost.cluster.desired import DesiredLog
from modelhost.cluster.follower import Follower
from modelhost.cluster.place import place_at
from modelhost.cluster.timings import Timings
from modelhost.loading.checks import standard
from modelhost.loading.memory import Budget
from modelhost.loading.pool import Pool
from modelhost.registry.base import Registry
from modelhost.serving.history import History
from modelhost.serving.serving import Serving
from tests.modelhost.serving.workshop import TextLoader, Workshop

# A ttl so long that a thread which a busy machine or a slow disk keeps for some seconds is not taken for dead.
TIMINGS = Timings(ttl=6.0, beat=0.1, poll=0.02, patience=120.0, retry=0.1)
PATIENCE = 120.0  # seconds that a state may take to come about on a loaded machine; none of the tests waits them out


@dataclass
class Hand:
    """A member, and what its service has."""

    serving: Serving
    follower: Follower
    loader: TextLoader

    @property
    def versions(self) -> dict[str, str]:
        return dict(self.serving.current().versions)


@dataclass
class Crew:
    """`shop` publishes; `hire` starts a member."""

    path: Path
    hands: list[Hand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shop = Workshop(self.path / "shop")
        self.shop.root.mkdir(parents=True)
        self.place = place_at(self.shop.root, "translator")
        self.log = DesiredLog(self.place)
        self.coordinator = Coordinator(self.place, self.shop.registry, TIMINGS)

    def hire(self, name: str, *, first: dict[str, str] | None = None, **more: Any) -> Hand:
        loader: TextLoader = more.pop("loader", None) or TextLoader()
        registry: Registry = more.pop("registry", None) or self.shop.registry
        budget = Budget(more.pop("budget", 1_000_000))
        pool = Pool(registry, {"safetensors": loader}, budget, checks=standard(), aside=lambda work: work())
        home = self.path / name
        home.mkdir(exist_ok=True)
        serving = Serving(registry, pool, History(home / "history.jsonl"), keep_previous=True)
        if first is not None:
            serving.start(first)
        memory = home / "remembered.json"
        follower = Follower(
            serving,
            more.pop("place", self.place),
            TIMINGS,
            name=name,
            memory=memory,
            fallbacks=more.pop("fallbacks", ()),
        )
        hand = Hand(serving, follower, loader)
        self.hands.append(hand)
        follower.start()
        return hand

    def promote(self, *, who: str = "ann", patience: float = PATIENCE, **versions: str) -> int:
        return self.coordinator.promote(versions, who=who, why="better", patience=patience).committed.generation

    def until(self, state: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not state():
            assert time.monotonic() < deadline, "it never came to be"
            time.sleep(0.01)

    def until_served(self, generation: int) -> None:
        for hand in self.hands:
            self.until(lambda h=hand: h.follower.generation == generation and h.follower.ready().ready)  # type: ignore[misc]

    def dismiss(self, hand: Hand) -> None:
        self.hands.remove(hand)
        for gate in hand.loader.gates.values():
            gate.set()
        hand.follower.close()
        hand.serving.close(5.0)

    def end(self) -> None:
        for hand in list(self.hands):
            self.dismiss(hand)
        self.shop.end()
