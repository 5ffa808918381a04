"""How an instance of a release is started: the manifest's container section as an engine's specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from release import naming
from release.config import secret
from release.config.manifest import Manifest
from release.config.secret import Secret
from release.engine.base import InstanceSpec
from release.naming import Slot

_MOST_FILES = 10_000


def read_secrets(manifest: Manifest) -> dict[str, Secret]:
    """The values behind the manifest's sources, read now. Raises ManifestError naming what is missing."""
    return {name: secret.read(name, source) for name, source in manifest.container.secrets.items()}


def fingerprints(secrets: Mapping[str, Secret], scope: str) -> dict[str, str]:
    return {name: value.fingerprint(scope) for name, value in secrets.items()}


def config_digest(manifest: Manifest) -> str:
    """Twelve hexadecimal digits of the container section: what `as it was` is compared by."""
    text = json.dumps(manifest.container.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def weights_digest(manifest: Manifest) -> str:
    """What may change under the same image: the container's section, and the mounted files by name, size and time.

    Hashing gigabytes of weights would take longer than asking the service again.
    """
    digest = hashlib.sha256(config_digest(manifest).encode())
    for volume in manifest.container.volumes:
        source = Path(volume.split(":")[0])
        files = sorted(source.rglob("*")) if source.is_dir() else [source]
        for path in files[:_MOST_FILES]:
            try:
                status = path.stat()
            except OSError:
                continue
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def specification(
    manifest: Manifest,
    *,
    release: str,
    commit: str,
    deployment: str,
    slot: Slot,
    image_id: str,
    secrets: Mapping[str, Secret],
) -> InstanceSpec:
    """The instance of `release` in `slot`. RELEASE_VERSION and RELEASE_REVISION tell the service what it is."""
    container = manifest.container
    env = {"RELEASE_VERSION": release, "RELEASE_REVISION": commit} | container.env
    return InstanceSpec(
        name=naming.container_name(manifest.scope, slot, release, deployment),
        scope=manifest.scope,
        slot=slot,
        release=release,
        deployment=deployment,
        image_id=image_id,
        container_port=container.port,
        host_port=manifest.slots.port(slot),
        command=tuple(container.command) if container.command else None,
        env=env,
        secrets=secrets,
        volumes=container.volumes,
        memory=container.memory,
        shm_size=container.shm_size,
        cpus=container.cpus,
        gpus=container.gpus,
        stop_timeout=container.stop_timeout,
        log_max_size=container.log_max_size,
        log_max_files=container.log_max_files,
        labels={naming.LABEL_CONFIG: config_digest(manifest)},
    )


def changed_secrets(then: Mapping[str, str], now: Mapping[str, Secret], scope: str) -> list[str]:
    """Names of secrets whose value is not what it was (by fingerprint)."""
    prints = fingerprints(now, scope)
    return sorted(name for name, fingerprint in then.items() if name in prints and prints[name] != fingerprint)
