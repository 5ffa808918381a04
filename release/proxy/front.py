"""The front of one scope's nginx: its flags and its answers. Enough to move traffic and to see that it moved."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from release.proxy import questions
from release.proxy.address import listen
from release.proxy.base import Traffic, TrafficSwitch
from release.proxy.questions import Listeners
from release.proxy.traffic import FlagSwitch


class Place(Protocol):
    """Where nginx listens; the manifest's `proxy` section is one, and so is `config.reach.Reach`."""

    @property
    def address(self) -> str: ...
    @property
    def listen(self) -> int: ...
    @property
    def admin_port(self) -> int: ...
    @property
    def server_name(self) -> str: ...


class FlagFront:
    """Implements Front for an nginx that reads flag files, managed or included."""

    def __init__(self, scope: str, place: Place, state: Path) -> None:
        self.switch: TrafficSwitch = FlagSwitch(state.absolute() / "traffic")
        self.listeners = listeners(scope, place)

    def verify(self, traffic: Traffic, timeout: float = 2.0) -> None:
        questions.await_traffic(self.listeners, traffic, timeout)


def listeners(scope: str, place: Place) -> Listeners:
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = None if place.server_name == "_" else place.server_name.split()[0]
    public = listen(everywhere.get(place.address, place.address), place.listen)
    return Listeners(scope, f"http://127.0.0.1:{place.admin_port}", f"http://{public}", host)
