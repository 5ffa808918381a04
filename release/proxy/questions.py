"""What nginx answers over HTTP about itself: the hash of its live configuration, the slot, the traffic it reads."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from release.errors import ProxyError
from release.naming import Slot
from release.proxy.base import Traffic
from release.proxy.shares import BUCKETS, buckets

_TIMEOUT = 1.0  # seconds for one question as a whole
_PAUSE = 0.01


@dataclass(frozen=True)
class Listeners:
    """Where one scope's nginx answers; `host` is the name its public server goes by, where it has one."""

    scope: str
    admin: str
    public: str
    host: str | None = None


def ask(url: str, path: str, host: str | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of a GET on a connection of its own; status 0 where nobody answers in time.

    Behind a public listener may be a service that streams: where the body does not end in time, the status counts.
    """
    import http.client

    from release.direct.deadline import Connection

    address = url.removeprefix("http://")
    connection = Connection(address, _TIMEOUT)
    status = 0
    try:
        connection.request("GET", path, headers={"Connection": "close", "Host": host or address})
        response = connection.getresponse()
        status = response.status
        said = json.loads(response.read(65536))
    except (OSError, http.client.HTTPException, ValueError):
        return status, {}
    finally:
        connection.close()
    return status, said if isinstance(said, dict) else {}


def live_config(listeners: Listeners) -> str | None:
    """The hash of the configuration that answers now; None where none of this scope does."""
    status, said = ask(listeners.admin, "/release/config")
    return str(said.get("config")) if status == 200 and said.get("scope") == listeners.scope else None


def await_config(listeners: Listeners, config: str, timeout: float, in_a_row: int = 20) -> bool:
    """Polls until `in_a_row` answers, each on a new connection, come from this configuration.

    For about 100 ms after a reload the old workers still accept; each answer may be any worker's.
    """
    deadline = time.monotonic() + timeout
    agreed = 0
    while agreed < in_a_row:
        agreed = agreed + 1 if live_config(listeners) == config else 0
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def await_silence(listeners: Listeners, timeout: float, in_a_row: int = 20) -> None:
    """Polls until nobody answers for this scope any more, or `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    silent = 0
    while silent < in_a_row and time.monotonic() < deadline:
        silent = silent + 1 if live_config(listeners) is None else 0
        time.sleep(_PAUSE)


def await_traffic(listeners: Listeners, traffic: Traffic, timeout: float) -> None:
    """Raises ProxyError unless, within `timeout` seconds, nginx reads and routes by exactly `traffic`."""
    deadline = time.monotonic() + timeout
    while (differs := _difference(listeners, traffic)) is not None:
        if time.monotonic() > deadline:
            raise ProxyError(
                f"nginx does not serve what was set (green {traffic.green} per mille): {differs}",
                hint="`release doctor` names what is wrong with the proxy",
            )
        time.sleep(_PAUSE)


def await_rewritten(listeners: Listeners, traffic: Traffic, timeout: float) -> None:
    """As `await_traffic`, where the public server is somebody else's: that one only has to answer."""
    deadline = time.monotonic() + timeout
    while True:
        _, said = ask(listeners.admin, "/release/traffic")
        heard = ask(listeners.public, "/", listeners.host)[0] not in (0, 502, 503, 504)
        if (said.get("green"), said.get("owner")) == (traffic.green, traffic.owner) and heard:
            return
        if time.monotonic() > deadline:
            raise ProxyError(
                f"nginx does not serve what was set: it reads {said or 'nothing'}, and its public listener "
                f"{listeners.public} {'answers' if heard else 'does not answer'}",
                hint="`release doctor` names what is wrong with the proxy",
            )
        time.sleep(_PAUSE)


def _difference(listeners: Listeners, traffic: Traffic) -> str | None:
    """What nginx says otherwise; None where it agrees."""
    status, said = ask(listeners.admin, "/release/traffic")
    if status != 200:
        return f"its admin location {listeners.admin} answers {_status(status)} about the flag tree"
    if (said.get("green"), said.get("owner")) != (traffic.green, traffic.owner):
        return f"it reads a share of {said.get('green')} set by {said.get('owner')}"
    for bucket, slot in _samples(traffic):
        _, said = ask(listeners.admin, f"/release/slot?bucket={bucket}")
        if said.get("slot") != slot:
            return f"it sends bucket {bucket} to {said.get('slot')}, not to {slot}"
    status, said = ask(listeners.public, "/.release/slot", listeners.host)
    if status != 200 or said.get("scope") != listeners.scope:
        return f"its public listener {listeners.public} answers {_status(status)}, not as {listeners.scope}"
    if said.get("slot") not in [slot for _, slot in _samples(traffic)]:
        return f"its public listener {listeners.public} sends requests to {said.get('slot')}"
    return None


def _samples(traffic: Traffic) -> list[tuple[int, str]]:
    """A bucket of each slot that has any, with the slot."""
    order = buckets(traffic.owner, BUCKETS)
    green = [(order[0], str(Slot.GREEN))] if traffic.green > 0 else []
    blue = [(order[-1], str(Slot.BLUE))] if traffic.green < BUCKETS else []
    return green + blue


def _status(status: int) -> str:
    return str(status) if status else "nothing"
