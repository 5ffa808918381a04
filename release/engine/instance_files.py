"""The folder of one process instance: what is written there, and what can be told from it.

spec.json   who it is and what it runs            env.json   its environment, secrets too: readable by its owner only
state.json  the supervisor's last word            log, log.1 …  what it printed
keep        present: restarted when it dies       stop       present: not restarted
"""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from release import naming
from release.engine.base import Instance, State
from release.engine.supervisor import start_time
from release.errors import EngineError
from release.naming import Slot


@dataclass(frozen=True)
class InstanceFolder:
    """`spec` never changes; it is read once, since another command may remove the folder at any time."""

    path: Path
    spec: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def state(self) -> dict[str, Any]:
        return _read(self.path / "state.json")

    def flag(self, name: str, up: bool) -> None:
        try:
            if up:
                (self.path / name).touch()
            else:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise EngineError(f"cannot write to {self.path}: {error.strerror}", hint="is the disk full?") from error

    def process(self) -> int | None:
        """The service's process id where it lives; the kernel's start time tells it from a stranger with its number."""
        return _living(self.state, "pid")

    def supervisor(self) -> int | None:
        return _living(self.state, "supervisor")

    def instance(self) -> Instance:
        spec, state = self.spec, self.state
        labels: dict[str, str] = spec["labels"]
        return Instance(
            id=self.id,
            name=spec["name"],
            scope=labels[naming.LABEL_SCOPE],
            slot=Slot(labels[naming.LABEL_SLOT]),
            release=labels[naming.LABEL_RELEASE],
            deployment=labels[naming.LABEL_DEPLOYMENT],
            image_id=spec["image_id"],
            host_port=int(labels[naming.LABEL_PORT]),
            state=_state(state),
            started_at=state.get("started_at", ""),
            restarts=int(state.get("restarts", 0)),
            exit_code=state.get("exit_code"),
            pid_token=f"{state.get('pid', 0)}@{state.get('pid_start', 0)}",
            labels=labels,
        )

    def remove(self) -> None:
        """By a name that no listing shows first, so that it is there wholly or not at all."""
        hidden = self.path.with_name(f".removed-{self.id}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def create(root: Path, spec: Mapping[str, Any], environment: Mapping[str, str]) -> InstanceFolder:
    """A new folder, complete when it appears under its name."""
    name = uuid.uuid4().hex[:12]
    beside = root / f".new-{name}"
    try:
        beside.mkdir(parents=True)
        (beside / "spec.json").write_text(json.dumps(dict(spec)), encoding="utf-8")
        secret = beside / "env.json"
        secret.touch(mode=0o600)
        secret.write_text(json.dumps(dict(environment)), encoding="utf-8")
        beside.rename(root / name)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise EngineError(f"cannot write to {root}: {error.strerror}", hint="is the disk full?") from error
    return InstanceFolder(root / name, dict(spec))


def found(path: Path) -> InstanceFolder | None:
    """The instance in `path`; None where there is none, or none any more."""
    spec = _read(path / "spec.json")
    return InstanceFolder(path, spec) if spec else None


def every(root: Path) -> Iterator[InstanceFolder]:
    """The instances under `root`, oldest first. What a killed command left half made or half removed is swept."""
    if not root.is_dir():
        return
    for path in sorted(root.iterdir(), key=_changed):
        if path.name.startswith(".removed-"):
            shutil.rmtree(path, ignore_errors=True)
        elif not path.name.startswith(".") and (folder := found(path)) is not None:
            yield folder


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _state(state: Mapping[str, Any]) -> State:
    """What the supervisor said last, unless it is gone: then whether the service lives on without it."""
    if not state:
        return State.CREATED
    if _living(state, "supervisor") is None:
        return State.RUNNING if _living(state, "pid") is not None else State.EXITED
    return State(state["state"])


def _living(state: Mapping[str, Any], who: str) -> int | None:
    number: int | None = state.get(who)
    return number if number is not None and start_time(number) == state.get(f"{who}_start") else None


def _read(path: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot read {path}: {error}", hint="release doctor") from error
    return said
