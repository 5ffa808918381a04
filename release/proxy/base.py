"""What moving traffic takes: few verbs, and verification by observing. Both ways to switch satisfy `TrafficSwitch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from release.naming import Slot


@dataclass(frozen=True)
class Traffic:
    """What serves: `green` is green's share in per mille (0 to 1000), `owner` the deployment that set it."""

    green: int
    owner: str

    def share(self, slot: Slot) -> int:
        return self.green if slot is Slot.GREEN else 1000 - self.green

    @property
    def live(self) -> Slot:
        """The slot with the larger share; blue on a tie."""
        return Slot.GREEN if self.green > 500 else Slot.BLUE

    @classmethod
    def all_to(cls, slot: Slot, owner: str) -> Traffic:
        return cls(1000 if slot is Slot.GREEN else 0, owner)


@dataclass(frozen=True)
class Switched:
    """A switch that happened: `microseconds` is the one atomic operation, `path` how it was done."""

    before: Traffic | None
    after: Traffic
    microseconds: float


class TrafficSwitch(Protocol):
    """Moves traffic. Every method raises ProxyError; `set` either happened wholly or not at all."""

    kind: str

    def get(self) -> Traffic | None:
        """What serves now; None where no traffic was ever set. Raises ProxyError where the truth is unreadable."""

    def prepare(self, owner: str, shares: Sequence[int]) -> None:
        """Makes ready everything that `set` needs for these green shares, so that `set` works on a full disk."""

    def set(self, traffic: Traffic) -> Switched:
        """Moves traffic; durable when it returns. Prepares by itself what was not prepared."""

    def restore(self, traffic: Traffic) -> Switched:
        """As `set`, for a way back: must work from what is on disk already where at all possible."""

    def clear(self) -> None:
        """Nothing serves any more: every request is answered 503. The way back of the first deployment ever."""

    def forget(self, keep: Sequence[str]) -> None:
        """Removes prepared material of all owners but those in `keep` and the one that serves."""


@dataclass(frozen=True)
class ProxyStatus:
    """`running`: answers on its admin location. `problems` are sentences that name the mend."""

    installed: bool
    running: bool
    current: bool  # the live configuration is the one this manifest renders
    survives_reboot: bool
    problems: tuple[str, ...] = ()


class Front(Protocol):
    """What moving traffic takes of nginx: the switch, and its answers. Every method raises ProxyError."""

    switch: TrafficSwitch

    def verify(self, traffic: Traffic, timeout: float = 2.0) -> None:
        """Asks the admin location and the public listener until they agree with `traffic`; raises ProxyError if not."""


class Proxy(Front, Protocol):
    """nginx for one scope, managed or included. Every method raises ProxyError."""

    kind: str
    access_log: Path
    public_url: str
    admin_url: str
    conf: Path

    def check(self) -> bool:
        """Whether `install` would change anything. Raises where nginx refuses the text, somebody holds a port that
        it needs, or an included one is silent. Nothing of what serves is touched."""

    def install(self) -> bool:
        """Renders, tests, installs and (managed) starts; True where the topology changed. Idempotent."""

    def installed(self) -> str | None:
        """The text that is in place, for `put_back`; None where none is."""

    def put_back(self, text: str) -> bool:
        """Makes a text that `installed` gave live again; True where it was not. What serves stays as it is."""

    def ensure_running(self) -> bool:
        """Starts a managed nginx that is down; True where it had to. Raises where an included one is silent."""

    def status(self) -> ProxyStatus: ...

    def rotate_logs(self) -> None: ...

    def uninstall(self) -> None:
        """Takes down what `install` put up (managed: stops nginx). Absent is fine."""
