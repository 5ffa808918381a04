"""The Docker Engine: instances are containers, known by their labels and by nothing else.

Images are the business of release/image. Listing and inspecting are one call each: a rollback waits for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from release import naming
from release.daemon import Daemon, labels_filter, status
from release.direct.daemon import Direct
from release.engine import container, host
from release.engine.base import EngineInfo, Instance, InstanceSpec, State, labels_of
from release.errors import EngineError


class DockerEngine:
    """Engine over the Docker SDK; see release/engine/base.py for what each method promises."""

    kind = "docker"

    def __init__(self, host: str | None = None) -> None:
        self._daemon = Daemon(host)
        self._direct = Direct(
            self._daemon.host, "start the Docker Engine: sudo systemctl start docker (or sudo dockerd)"
        )

    def info(self) -> EngineInfo:
        with self._daemon.errors("ask the Docker Engine about itself"):
            facts: dict[str, Any] = self._daemon.api.info()
        root = str(facts.get("DockerRootDir", ""))
        local = self._daemon.is_local and Path(root).is_dir()
        return EngineInfo(
            kind=self.kind,
            version=str(facts.get("ServerVersion", "")),
            memory_total=facts.get("MemTotal") or None,
            memory_available=host.memory_available() if local else None,
            disk_free=host.disk_free(root) if local else None,
            disk_path=root,
            gpus=host.gpus() if local else None,
            warnings=tuple(facts.get("Warnings") or ()),
        )

    def start(self, spec: InstanceSpec) -> Instance:
        created: str | None = None
        try:
            with self._daemon.errors(f"create container {spec.name}"):
                created = self._create(spec)
            with self._daemon.errors(f"start container {spec.name}"):
                self._daemon.api.start(created)
        except BaseException as error:
            # Docker keeps a container that could not start, in state `created`.
            self._discard(created, spec)
            if isinstance(error, EngineError):
                raise self._explained(error, spec) from error
            raise
        instance = self.inspect(created)
        if instance is None:
            raise EngineError(f"container {spec.name} vanished right after its start", hint="docker events")
        return instance

    def resume(self, instance_id: str) -> Instance:
        with self._daemon.errors(f"start container {instance_id[:12]} again"):
            self._daemon.api.start(instance_id)
        instance = self.inspect(instance_id)
        if instance is None:
            raise EngineError(f"container {instance_id[:12]} vanished right after its start", hint="docker events")
        return instance

    def stop(self, instance_id: str, timeout: float) -> None:
        with _absent_is_fine(), self._daemon.errors(f"stop container {instance_id[:12]}"):
            self._daemon.api.stop(instance_id, timeout=round(timeout))

    def remove(self, instance_id: str) -> None:
        with _absent_is_fine(), self._daemon.errors(f"remove container {instance_id[:12]}"):
            self._daemon.api.remove_container(instance_id, force=True, v=True)

    def keep(self, instance_id: str, keep: bool) -> None:
        policy: Any = {"Name": "unless-stopped" if keep else "no"}
        doing = f"set the restart policy of container {instance_id[:12]}"
        if self._direct.usable:
            path = f"/containers/{instance_id}/update"
            self._asked(doing, "POST", path, body={"RestartPolicy": policy})
            return
        with self._daemon.errors(doing):
            self._daemon.api.update_container(instance_id, restart_policy=policy)

    def inspect(self, instance_id: str) -> Instance | None:
        doing = f"inspect container {instance_id[:12]}"
        try:
            if self._direct.usable:
                return container.from_inspect(self._asked(doing, "GET", f"/containers/{instance_id}/json"))
            with self._daemon.errors(doing):
                return container.from_inspect(self._daemon.api.inspect_container(instance_id))
        except EngineError as error:
            if status(error) == 404:
                return None
            raise

    def instances(self, scope: str) -> list[Instance]:
        """As the protocol says; `started_at`, `restarts` and `pid_token` stay empty here: `inspect` tells them."""
        # The slot and the deployment are labels of containers alone: whoever runs an image of ours by hand gets
        # the image's labels, and is left alone.
        wanted = {naming.LABEL_SCOPE: scope, naming.LABEL_SLOT: None, naming.LABEL_DEPLOYMENT: None}
        if self._direct.usable:
            query = {"all": "1", "filters": json.dumps(labels_filter(wanted))}
            return [
                container.from_list(row) for row in self._asked("list containers", "GET", "/containers/json", query)
            ]
        with self._daemon.errors("list containers"):
            rows = self._daemon.api.containers(all=True, filters=labels_filter(wanted))
        return [container.from_list(row) for row in rows]

    def port_owner(self, port: int) -> str | None:
        with self._daemon.errors("list containers"):
            rows = self._daemon.api.containers(filters={"publish": str(port)})
        if rows:
            return f"container {rows[0]['Names'][0].lstrip('/')}"
        return host.port_owner(port)

    def logs(self, instance_id: str, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        with self._daemon.errors(f"read the log of container {instance_id[:12]}"):
            # A client of its own: a followed log keeps its connection busy for as long as somebody looks.
            client = self._daemon.connect()
            try:
                stream = client.logs(
                    instance_id, stream=True, follow=follow, tail="all" if tail is None else max(tail, 0)
                )
                yield from _lines(iter(stream))
            finally:
                client.close()

    def _asked(self, doing: str, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """The answer to a direct question. Raises EngineError, with the status, for all that is no success."""
        code, said = self._direct.ask(method, path, query, body)
        if not 200 <= code < 300:
            message = said.get("message") if isinstance(said, dict) else None
            raise EngineError(f"could not {doing}: {message or f'it answered {code}'}", status=code)
        return said

    def _create(self, spec: InstanceSpec) -> str:
        from docker.types import DeviceRequest, LogConfig

        api = self._daemon.api
        port = f"{spec.container_port}/tcp"
        gpus = [DeviceRequest(count=spec.gpus, capabilities=[["gpu"]])] if spec.gpus else None
        host_config = api.create_host_config(
            port_bindings={port: ("127.0.0.1", spec.host_port)},
            mounts=[container.mount(volume) for volume in spec.volumes],
            restart_policy={"Name": "no"},
            log_config=LogConfig(
                type=LogConfig.types.JSON,
                config={"max-size": str(spec.log_max_size), "max-file": str(spec.log_max_files)},
            ),
            mem_limit=spec.memory,
            memswap_limit=spec.memory,  # no swap beyond it: a model that swaps is a model that times out
            shm_size=spec.shm_size,
            nano_cpus=round(spec.cpus * 1e9) if spec.cpus else None,
            device_requests=gpus,
            init=True,  # signals reach the service and its orphans are reaped, whatever the image's command is
        )
        environment = {**spec.env, **{name: secret.reveal() for name, secret in spec.secrets.items()}}
        created: dict[str, Any] = api.create_container(
            spec.image_id,
            command=list(spec.command) if spec.command else None,
            name=spec.name,
            environment=environment,
            ports=[(spec.container_port, "tcp")],
            labels=labels_of(spec),
            stop_timeout=round(spec.stop_timeout),
            host_config=host_config,
        )
        return str(created["Id"])

    def _discard(self, created: str | None, spec: InstanceSpec) -> None:
        """Removes what a failed start left. Where the answer to `create` was lost (interrupted), the container is found
        by its name, and is ours only if it carries this deployment and has never run."""
        try:
            if created is None:
                found = self.inspect(spec.name)
                ours = found is not None and (found.scope, found.deployment) == (spec.scope, spec.deployment)
                created = found.id if found is not None and ours and found.state is State.CREATED else None
            if created is not None:
                self.remove(created)
        except EngineError:
            return  # the error that led here is the one to tell

    def _explained(self, error: EngineError, spec: InstanceSpec) -> EngineError:
        text, hint = error.message, error.hint
        if "already allocated" in text or "address already in use" in text:
            owner = self._owner_or_none(spec.host_port)
            hint = f"port {spec.host_port} is held by {owner or 'something else'}: stop it, or change the slots"
        elif status(error) == 409:
            hint = f"see what holds the name: docker inspect {spec.name}"
        elif "docker-init" in text:
            hint = "the engine misses its init binary: apt-get install tini"
        elif "could not select device driver" in text:
            hint = "container.gpus needs the NVIDIA container toolkit on this host"
        elif "executable file not found" in text or "no such file or directory" in text.lower():
            hint = (
                "the image's command does not exist in it: look at CMD/ENTRYPOINT, or container.command in release.yaml"
            )
        elif "bind source path does not exist" in text:
            hint = "container.volumes in release.yaml names a host path that is not there: create it"
        elif "no such image" in text.lower():
            hint = "the image is gone: deploy the release again, it is built anew from its tag"
        return EngineError(text, hint=hint, **error.context)

    def _owner_or_none(self, port: int) -> str | None:
        try:
            return self.port_owner(port)
        except EngineError:
            return None


@contextmanager
def _absent_is_fine() -> Iterator[None]:
    """Swallows an EngineError that only says that there is no such container, or that it is going already."""
    try:
        yield
    except EngineError as error:
        if status(error) != 404 and "already in progress" not in error.message:
            raise


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Whole lines out of arbitrary chunks: a character may be cut by a chunk's end, never by a line's."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace").rstrip("\r")
