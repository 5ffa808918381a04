"""The image registry, through the Docker Engine. Published tags never change: this asks before it pushes.

Push and pull report failure inside a stream that began with status 200, so every stream is read to its end and the
digest at that end is required. A registry that is down or says no is an error, and never the same as an absent tag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from release.config.image import Registry
from release.daemon import Daemon, status
from release.errors import EngineError, Refused, RegistryError
from release.image.docker import DockerImages
from release.image.store import Image, Progress

_SILENCE: Final = 600.0  # seconds without a word from the daemon; a registry may take long to store a large layer


class DockerRegistry:
    """RegistryClient over the Docker SDK. Without a user name the daemon's client configuration (`docker login`) is
    used. The password is handed to the daemon and appears nowhere else."""

    def __init__(self, section: Registry, host: str | None = None) -> None:
        self._daemon = Daemon(host)
        self._images = DockerImages(host)
        self._password = section.password or ""
        # A registry without a login may be told one all the same: it is not asked for it.
        self._auth = {"username": section.username, "password": self._password} if section.username else None

    def digest(self, reference: str) -> str | None:
        try:
            with self._errors(f"ask the registry for {reference}"):
                api: Any = self._daemon.api  # the stub's inspect_distribution is untyped
                found = api.inspect_distribution(reference, auth_config=self._auth)
        except RegistryError as error:
            if error.context.get("status") == 404:
                return None
            raise
        return str(found["Descriptor"]["digest"])

    def push(self, image: Image, progress: Progress) -> str:
        repository, tag = _split(image.reference)
        there = self.digest(image.reference)
        if there is not None and there == self._known_digest(image):
            progress(f"{image.reference} is in the registry already")
            return there
        if there is not None:
            raise Refused(
                f"{image.reference} is in the registry already, as another image ({there[:19]})",
                hint="a published tag never changes: release under a new tag, or remove the local image and deploy"
                " again, which pulls the published one",
            )
        with self._errors(f"push {image.reference}"), self._daemon.stream(_SILENCE) as client:
            events = client.push(repository, tag=tag, auth_config=self._auth, stream=True, decode=True)
            pushed = _read(events, progress, lambda event: (event.get("aux") or {}).get("Digest"))
        if pushed is None:
            raise RegistryError(
                f"pushing {image.reference} ended without a digest", hint="push again; what is there is reused"
            )
        self._read_back(image.reference, pushed)
        return pushed

    def pull(self, reference: str, digest: str, progress: Progress) -> Image:
        repository, tag = _split(reference)
        with self._errors(f"pull {reference}"), self._daemon.stream(_SILENCE) as client:
            events = client.pull(repository, tag=digest, auth_config=self._auth, stream=True, decode=True)
            _read(events, progress, lambda _: None)
        pulled = self._images.get(f"{repository}@{digest}")
        if pulled is None:
            raise RegistryError(f"{reference} was pulled and is not here", hint="docker system df; docker images")
        self._images.tag(pulled.id, repository, tag)
        here = self._images.get(reference)
        if here is None:
            raise RegistryError(f"{reference} was pulled and is gone", hint="is something else removing images here?")
        return here

    def _read_back(self, reference: str, pushed: str) -> None:
        there = self.digest(reference)
        if there != pushed:
            raise RegistryError(
                f"the registry answers {there or 'nothing'} for {reference}, where {pushed} was pushed",
                hint="did somebody else push the same tag? release under a new one",
            )

    def _known_digest(self, image: Image) -> str | None:
        """The digest that the daemon remembers for this image in this repository, from an earlier push or pull."""
        here = self._images.get(image.reference)
        return here.digest if here is not None and here.id == image.id else None

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """What the daemon says about the registry becomes RegistryError; a daemon that is down stays EngineError."""
        try:
            with self._daemon.errors(doing):
                yield
        except EngineError as error:
            if status(error) is None:
                raise
            raise RegistryError(self._scrubbed(error.message), hint=_hint(error.message), **error.context) from None
        except RegistryError as error:
            message = self._scrubbed(f"could not {doing}: {error.message}")
            raise RegistryError(message, hint=error.hint or _hint(message), **error.context) from None

    def _scrubbed(self, text: str) -> str:
        return text.replace(self._password, "…") if self._password else text


def _read(
    events: Iterator[Mapping[str, Any]], progress: Progress, find: Callable[[Mapping[str, Any]], str | None]
) -> str | None:
    """Reads a push or pull to its end; returns the last thing found. Raises RegistryError for an error inside it."""
    found: str | None = None
    for event in events:
        if "error" in event or "errorDetail" in event:
            detail = event.get("errorDetail") or {}
            raise RegistryError(" ".join(str(detail.get("message") or event.get("error")).split()))
        found = find(event) or found
        if event.get("status") and not event.get("progressDetail"):
            progress(f"{event['id']}: {event['status']}" if event.get("id") else str(event["status"]))
    return found


def _hint(text: str) -> str:
    lower = text.lower()
    if any(sign in lower for sign in ("unauthorized", "authentication required", "no basic auth", "denied")):
        return "set registry.username and registry.password in release.yaml (as ${VARIABLES}), or docker login"
    if "http response to https client" in lower:
        return 'the registry speaks plain HTTP: add it to "insecure-registries" in /etc/docker/daemon.json'
    if "x509" in lower or "certificate" in lower:
        return "put the registry's CA into /etc/docker/certs.d/<registry>/ca.crt"
    if "no space left" in lower:
        return "the disk is full, here or at the registry: release prune"
    return "is the registry up, and reachable from this host? the command is safe to repeat"


def _split(reference: str) -> tuple[str, str]:
    repository, _, tag = reference.rpartition(":")
    return repository, tag
