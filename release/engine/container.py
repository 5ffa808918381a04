"""A container in the words of the Docker Engine: read as an instance where it tells of one, and what one mounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release import naming
from release.engine.base import Instance, State
from release.naming import Slot

if TYPE_CHECKING:
    from docker.types import Mount

_STATES = {
    "created": State.CREATED,
    "running": State.RUNNING,
    "paused": State.RUNNING,
    "restarting": State.RESTARTING,
}
_EXIT = re.compile(r"^Exited \((\d+)\)")


def from_list(row: Mapping[str, Any]) -> Instance:
    """A row of `/containers/json`: what only an inspection tells stays empty."""
    exited = _EXIT.match(row.get("Status", ""))
    return Instance(
        id=row["Id"],
        name=(row.get("Names") or ["/"])[0].lstrip("/"),
        image_id=row["ImageID"],
        state=_STATES.get(row["State"], State.EXITED),
        exit_code=int(exited[1]) if exited else None,
        **_identity(row.get("Labels") or {}),
    )


def from_inspect(row: Mapping[str, Any]) -> Instance:
    """The answer of `/containers/ID/json`."""
    state = row["State"]
    current = _STATES.get(state["Status"], State.EXITED)
    started = state.get("StartedAt", "")
    return Instance(
        id=row["Id"],
        name=row["Name"].lstrip("/"),
        image_id=row["Image"],
        state=current,
        started_at="" if started.startswith("0001-") else started,
        restarts=int(row.get("RestartCount", 0)),
        exit_code=state.get("ExitCode") if current is State.EXITED else None,
        oom_killed=bool(state.get("OOMKilled")),
        pid_token=f"{state.get('Pid', 0)}@{started}",
        **_identity(row["Config"].get("Labels") or {}),
    )


def mount(volume: str) -> Mount:
    """`/host/path:/container/path[:ro]` or `name:/container/path[:ro]`. A host path that is not there is an error of
    the start, where `docker run -v` would make an empty directory of it."""
    from docker.types import Mount

    source, target, *mode = volume.split(":")
    return Mount(target, source, type="bind" if source.startswith("/") else "volume", read_only=mode == ["ro"])


def _identity(labels: Mapping[str, str]) -> dict[str, Any]:
    slot = labels.get(naming.LABEL_SLOT, "")
    port = labels.get(naming.LABEL_PORT, "")
    return {
        "scope": labels.get(naming.LABEL_SCOPE, ""),
        "slot": Slot(slot) if slot in tuple(Slot) else Slot.BLUE,
        "release": labels.get(naming.LABEL_RELEASE, ""),
        "deployment": labels.get(naming.LABEL_DEPLOYMENT, ""),
        "host_port": int(port) if port.isdigit() else 0,
        "labels": dict(labels),
    }
