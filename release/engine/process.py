"""Supervised local processes, where no Docker Engine can be had: for demonstrations, tests and locked-down runners.

The service must listen on the port that the environment variable PORT names, on HOST. Memory and CPU are not limited,
volumes cannot be mapped to another path (the process sees this machine's files), and nothing outlives a reboot.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from release.engine import host, instance_files, instance_log
from release.engine.base import EngineInfo, Instance, InstanceSpec, labels_of
from release.engine.instance_files import InstanceFolder
from release.errors import EngineError

_INHERITED: Final = ("HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "PATH")  # a CI job's secrets are not among them
_UP: Final = 10.0  # seconds for the supervisor to say that the service runs
_DOWN: Final = 5.0  # seconds for the kernel and the supervisor after SIGKILL
_LIMITS: Final = "processes are not limited in memory or CPU, and not started again after a reboot"


class ProcessEngine:
    """Engine over local processes; `root` is the folder that DirectoryImages shares."""

    kind = "process"

    def __init__(self, root: Path) -> None:
        self._images = root / "images"
        self._instances = root / "instances"

    def info(self) -> EngineInfo:
        if not Path("/proc/self/stat").exists():
            raise EngineError("the process engine needs Linux's /proc", hint="use engine: {kind: docker}")
        place = next(path for path in (self._instances, *self._instances.parents) if path.exists())
        return EngineInfo(
            kind=self.kind,
            version=platform.python_version(),
            memory_total=host.memory_total(),
            memory_available=host.memory_available(),
            disk_free=host.disk_free(str(place)),
            disk_path=str(place),
            gpus=host.gpus(),
            warnings=(_LIMITS,),
        )

    def start(self, spec: InstanceSpec) -> Instance:
        image = self._image(spec.image_id)
        if any(folder.spec.get("name") == spec.name for folder in instance_files.every(self._instances)):
            raise EngineError(f"an instance called {spec.name} is there already", hint="release status")
        self._check_port(spec.host_port)
        _check_volumes(spec)
        record = {
            "name": spec.name,
            "image_id": spec.image_id,
            "command": list(spec.command or image["command"]),
            "workdir": str(self._tree(spec.image_id)),
            "labels": labels_of(spec),
            "log_max_size": spec.log_max_size,
            "log_max_files": spec.log_max_files,
        }
        if not record["command"]:
            raise EngineError(
                f"nothing says how to start {spec.release}", hint="set container.command, or CMD in the Dockerfile"
            )
        folder = instance_files.create(self._instances, record, _environment(spec, image))
        try:
            return self._launch(folder)
        except BaseException:
            self.remove(folder.id)
            raise

    def resume(self, instance_id: str) -> Instance:
        folder = self._found(instance_id)
        if folder.process() is not None:
            return folder.instance()
        self._check_port(folder.instance().host_port)
        folder.flag("stop", False)
        (folder.path / "state.json").unlink(missing_ok=True)
        return self._launch(folder)

    def stop(self, instance_id: str, timeout: float) -> None:
        folder = self._folder(instance_id)
        if folder is None:
            return
        folder.flag("stop", True)
        self._signal(folder, signal.SIGTERM)
        if not _until(lambda: folder.process() is None, timeout):
            self._signal(folder, signal.SIGKILL)
        self._end(folder)

    def remove(self, instance_id: str) -> None:
        folder = self._folder(instance_id)
        if folder is not None:
            folder.flag("stop", True)
            self._end(folder)
            folder.remove()

    def keep(self, instance_id: str, keep: bool) -> None:
        self._found(instance_id).flag("keep", keep)

    def inspect(self, instance_id: str) -> Instance | None:
        folder = self._folder(instance_id)
        return None if folder is None else folder.instance()

    def instances(self, scope: str) -> list[Instance]:
        found = [folder.instance() for folder in instance_files.every(self._instances)]
        return [instance for instance in found if instance.scope == scope]

    def port_owner(self, port: int) -> str | None:
        for folder in instance_files.every(self._instances):
            if folder.process() is not None and folder.instance().host_port == port:
                return f"instance {folder.spec['name']}"
        return host.port_owner(port)

    def logs(self, instance_id: str, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        folder = self._found(instance_id)
        yield from instance_log.lines(folder, tail, follow)

    def _launch(self, folder: InstanceFolder) -> Instance:
        """Starts the supervisor, which detaches itself, and waits until it says how the service does."""
        environment = {key: os.environ[key] for key in _INHERITED if key in os.environ}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        try:
            subprocess.run(
                [sys.executable, "-m", "release.engine.supervisor", str(folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise EngineError(f"cannot start a supervisor: {error}", hint="is the machine out of processes?") from error
        if not _until(lambda: folder.state.get("state") is not None, _UP):
            raise EngineError(f"the supervisor of {folder.spec['name']} says nothing", hint=f"ls {folder.path}")
        return folder.instance()

    def _signal(self, folder: InstanceFolder, number: signal.Signals) -> None:
        pid = folder.process()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number) if number is signal.SIGKILL else os.kill(pid, number)

    def _end(self, folder: InstanceFolder) -> None:
        """Kills what still runs. The supervisor ends by itself once its process has; it is killed only where it does
        not, so that a process it has just started is never lost sight of."""
        patience = time.monotonic() + _DOWN
        while folder.process() is not None or folder.supervisor() is not None:
            self._signal(folder, signal.SIGKILL)
            supervisor = folder.supervisor()
            if supervisor is not None and time.monotonic() > patience:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(supervisor, signal.SIGKILL)
            if time.monotonic() > patience + _DOWN:
                raise EngineError(f"{folder.spec['name']} does not die", hint=f"kill -9 {folder.process()}")
            time.sleep(0.01)

    def _check_port(self, port: int) -> None:
        owner = self.port_owner(port)
        if owner is not None:
            raise EngineError(
                f"port {port} is already allocated", hint=f"it is held by {owner}: stop it, or change the slots"
            )

    def _folder(self, instance_id: str) -> InstanceFolder | None:
        return instance_files.found(self._instances / instance_id) if instance_id else None

    def _found(self, instance_id: str) -> InstanceFolder:
        folder = self._folder(instance_id)
        if folder is None:
            raise EngineError(f"there is no instance {instance_id}", hint="release status")
        return folder

    def _tree(self, image_id: str) -> Path:
        return self._images / image_id.removeprefix("sha256:") / "tree"

    def _image(self, image_id: str) -> dict[str, Any]:
        path = self._tree(image_id).with_name("image.json")
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EngineError(
                f"no such image: {image_id[:19]}", hint="deploy the release again, it is built anew from its tag"
            ) from error
        return found


def _environment(spec: InstanceSpec, image: dict[str, Any]) -> dict[str, str]:
    """What the service sees: a little of this session's, the image's, the manifest's, and where to listen. A variable
    such as RUNNER_TRACKING_ID, by which a CI runner finds and kills what a job started, is not passed on."""
    inherited = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    path = f"{image['venv']}/bin:{inherited.get('PATH', os.defpath)}"
    own = {"PATH": path, "VIRTUAL_ENV": image["venv"], "PYTHONDONTWRITEBYTECODE": "1"}
    secrets = {name: secret.reveal() for name, secret in spec.secrets.items()}
    image_env = {key: value for key, value in image["env"].items() if key != "PATH"}
    where = {"PORT": str(spec.host_port), "HOST": "127.0.0.1"}
    return inherited | own | image_env | dict(spec.env) | secrets | where


def _check_volumes(spec: InstanceSpec) -> None:
    for volume in spec.volumes:
        source, target = volume.split(":")[:2]
        if source != target:
            raise EngineError(
                f"a process cannot see {source} as {target}",
                hint="use the same path on both sides of container.volumes, or engine: {kind: docker}",
            )


def _until(done: Any, timeout: float) -> bool:
    """Waits until `done()` is true, for `timeout` seconds at most; whether it is."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
