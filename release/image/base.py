"""The base image: pulled where a registry can be reached, else the one that is here, else made from Debian packages."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from release import naming
from release.config.image import Base
from release.daemon import TIMEOUT, Daemon, status
from release.errors import BuildFailed, EngineError
from release.image.build import BaseImage
from release.image.cache import locked
from release.image.labels import ROLE_BASE
from release.image.store import Progress

REPOSITORY: Final = "release-base"
PACKAGES: Final = "python3,python3-venv,ca-certificates"
_TIMEOUT = 1800.0  # seconds for mmdebstrap, which downloads about 60 MB


class DockerBases:
    """Bases in a Docker Engine. `cache` holds the lock that keeps two runs from making the same base at once."""

    def __init__(self, cache: Path, host: str | None = None) -> None:
        self._cache = cache
        self._daemon = Daemon(host)

    def obtain(self, base: Base, progress: Progress) -> BaseImage:
        """Raises BuildFailed where there is no way to the image, saying what was tried."""
        try:
            self._pull(base.image, progress)
        except EngineError as error:
            progress(f"cannot pull {base.image}: {error.message}")
        else:
            return self._named(base.image)
        if self._digest(base.image) is not None:
            progress(f"using the {base.image} that is on this host")
            return self._named(base.image)
        if base.bootstrap is None:
            raise BuildFailed(
                f"the base image {base.image} can be neither pulled nor found here",
                hint="docker load it, or set build.base.bootstrap: bookworm to make one from Debian packages",
            )
        return self._named(self.bootstrap(base.bootstrap, progress))

    def bootstrap(self, suite: str, progress: Progress) -> str:
        """`release-base:<suite>-python3`, made by mmdebstrap unless it is here already. Returns its reference."""
        reference = f"{REPOSITORY}:{suite}-python3"
        with locked(self._cache / f"base-{suite}.lock"):
            if self._digest(reference) is None:
                self._make(suite, reference, progress)
        progress(f"using {reference}, made from Debian {suite} packages on this host")
        return reference

    def _make(self, suite: str, reference: str, progress: Progress) -> None:
        if shutil.which("mmdebstrap") is None:
            raise BuildFailed(
                "a base image cannot be made: mmdebstrap is not installed", hint="sudo apt-get install mmdebstrap"
            )
        progress(f"making {reference} from Debian packages with mmdebstrap; about a minute, once")
        with tempfile.TemporaryDirectory(prefix="release-base-") as folder:
            # mmdebstrap drops its privileges to build, and must be able to enter the folder.
            Path(folder).chmod(0o755)
            archive = Path(folder) / "base.tar"
            _mmdebstrap(suite, archive, progress)
            self._import(archive, reference)

    def _import(self, archive: Path, reference: str) -> None:
        repository, _, tag = reference.partition(":")
        changes = [f"LABEL {naming.LABEL_ROLE}={ROLE_BASE}", 'CMD ["python3"]']
        with self._daemon.errors(f"import {reference}"), self._daemon.stream(_TIMEOUT) as client:
            answer = client.import_image(str(archive), repository=repository, tag=tag, changes=changes)
        for line in str(answer).splitlines():
            said: dict[str, Any] = json.loads(line) if line.strip() else {}
            if "error" in said:
                raise BuildFailed(f"importing {reference} failed: {said['error']}", hint="docker system df")

    def _pull(self, image: str, progress: Progress) -> None:
        """The SDK's `images.pull` drops the errors that come inside the stream, so it is read here."""
        name, tag = _split(image)
        with self._daemon.errors(f"pull {image}"), self._daemon.stream(TIMEOUT) as client:
            for event in client.pull(name, tag=tag, stream=True, decode=True):
                if "error" in event:
                    raise EngineError(str(event["error"]))
                if event.get("status") and not event.get("progressDetail"):
                    progress(str(event["status"]))

    def _named(self, reference: str) -> BaseImage:
        digest = self._digest(reference)
        if digest is None:
            raise BuildFailed(f"the base image {reference} is gone again", hint="docker images")
        return BaseImage(reference, digest)

    def _digest(self, reference: str) -> str | None:
        """The registry's digest where it has one, else the local id; None where it is not here."""
        try:
            with self._daemon.errors(f"inspect image {reference}"):
                found: dict[str, Any] = self._daemon.api.inspect_image(reference)  # type: ignore[no-untyped-call]
        except EngineError as error:
            if status(error) == 404:
                return None
            raise
        digests = found.get("RepoDigests") or []
        return str(digests[0]).partition("@")[2] if digests else str(found["Id"])


def _mmdebstrap(suite: str, archive: Path, progress: Progress) -> None:
    command = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(archive)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(
            f"mmdebstrap took longer than {_TIMEOUT:g} s", hint="is the Debian mirror reachable? apt-get update"
        ) from error
    if done.returncode != 0:
        last = [line for line in done.stderr.splitlines() if line.strip()][-6:]
        raise BuildFailed(
            f"mmdebstrap could not make Debian {suite}: {last[-1] if last else done.returncode}",
            hint="it needs root (or user namespaces) and a Debian mirror; it said:\n  " + "\n  ".join(last),
        )
    progress(f"packed {archive.stat().st_size >> 20} MB of Debian {suite}")


def _split(image: str) -> tuple[str, str]:
    """`repo:tag`, `repo@sha256:…` or `repo` → name and tag (or digest), as the API takes them."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")
