"""One build on the classic builder, streamed to its end; one that does not come to its end leaves nothing behind."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import time
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import IO, Any

from release import naming
from release.daemon import Daemon, status
from release.errors import BuildFailed, EngineError
from release.image import dockerfile, labels
from release.image.layers import Layers
from release.image.store import BuildRequest, Progress
from release.image.stream import BuildStream

_DOCKERFILE = ".release.Dockerfile"  # its name inside the build context; never copied into an image
_CANCEL = 20.0  # seconds at most that the daemon may take to stop a step after its client has gone
_FROM = re.compile(r"Step \d+/\d+ : FROM (?:--\S+ )*(\S+)", re.IGNORECASE)
_BASE_HINT = """\
the base image {base} is not on this host and cannot be pulled: `docker pull {base}` repeats it (docker login for a
private one), `docker load` brings it without a registry. Or let one be made from Debian packages. In release.yaml:
  build: {{base: {{image: "{base}", argument: BASE_IMAGE, bootstrap: bookworm}}}}
and in the Dockerfile:
  ARG BASE_IMAGE
  FROM ${{BASE_IMAGE}}"""
_BUILDKIT = ("--mount", "--chmod", "--link", "requires BuildKit", "unknown instruction: EOF", "heredoc")


class Builder:
    """Builds with the images' labels in the Dockerfile: stages and layers carry them too, so that what a killed build
    leaves can be told from what is not ours."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._layers = Layers(daemon)

    def build(self, request: BuildRequest, reference: str, progress: Progress) -> str:
        """The id of the new image, tagged `reference`. Raises BuildFailed; then, and when interrupted, every layer and
        container that this build has made is gone again."""
        log = BuildStream()
        scope = request.labels[naming.LABEL_SCOPE]
        before = self._layers.heads(scope)
        try:
            built = self._run(request, reference, log, progress)
            self._layers.keep_stages(scope, log.layers)
            return built
        except BaseException as error:
            self._discard(log, scope, before)
            if isinstance(error, EngineError):
                raise BuildFailed(error.message, hint=error.hint, log="\n".join(log.tail)) from error
            raise

    def _run(self, request: BuildRequest, reference: str, log: BuildStream, progress: Progress) -> str:
        """Streams one build to its end. Raises BuildFailed or EngineError; the connection is closed either way, which
        is what makes the daemon stop."""
        deadline = time.monotonic() + request.timeout
        try:
            with contextlib.closing(self._events(request, reference)) as events:
                for event in events:
                    for line in log.feed(event):
                        progress(line)
                    if time.monotonic() > deadline:
                        raise _slow(request, reference)
        except EngineError as error:
            if "timed out" in error.message.lower():  # silent for as long as the whole build may take
                raise _slow(request, reference) from error
            raise
        if log.error is not None:
            raise failure(reference, log)
        if log.image_id is None:
            raise BuildFailed(
                f"the build of {reference} stopped in the middle: {log.step or 'before its first step'}",
                hint="is the Docker Engine still running? docker info",
                log="\n".join(log.tail),
            )
        return log.image_id

    def _events(self, request: BuildRequest, reference: str) -> Generator[dict[str, Any], None, None]:
        with self._context(request) as archive, self._daemon.stream(request.timeout) as client:
            with self._daemon.errors(f"build {reference}"):
                yield from client.build(
                    fileobj=archive,
                    custom_context=True,
                    dockerfile=_DOCKERFILE,
                    tag=reference,
                    buildargs=dict(request.args),
                    rm=True,
                    forcerm=True,
                    decode=True,
                    timeout=math.ceil(request.timeout),
                )

    @contextlib.contextmanager
    def _context(self, request: BuildRequest) -> Iterator[IO[bytes]]:
        """The build context as a tar file, our labels already in its Dockerfile."""
        from docker.utils import tar

        path = request.context / request.dockerfile
        try:
            text = path.read_text(encoding="utf-8")
            text = dockerfile.with_labels(text, labels.layer_labels(request.labels), request.labels)
            ignored = _ignored(request.context, path)
        except (OSError, UnicodeDecodeError) as error:
            raise BuildFailed(
                f"no readable {request.dockerfile} (or .dockerignore) in the build context at this commit",
                hint="build.dockerfile in release.yaml is relative to build.context; is the file committed?",
            ) from error
        with tempfile.TemporaryFile() as file:
            try:
                tar(request.context, exclude=ignored, dockerfile=(_DOCKERFILE, text), fileobj=file)
            except OSError as error:
                raise BuildFailed(
                    f"the build context cannot be packed: {error}",
                    hint=f"has {tempfile.gettempdir()} room for it? df {tempfile.gettempdir()}",
                ) from error
            yield file

    def _discard(self, log: BuildStream, scope: str, before: Collection[str]) -> None:
        """Containers first: the one of a cancelled step holds its layer. A step that was about to end when its client
        went may still make a layer, so the sweep is repeated until there is nothing new."""
        deadline = time.monotonic() + _CANCEL
        for container in log.containers[-1:]:
            with contextlib.suppress(EngineError):  # gone by itself, as a rule
                while self._runs(container) and time.monotonic() < deadline:
                    time.sleep(0.05)
                self._layers.remove_container(container)
        with contextlib.suppress(EngineError):  # the error that led here is the one to tell
            self._layers.sweep(scope, before)
            while log.error is None and set(self._layers.heads(scope)) - set(before) and time.monotonic() < deadline:
                time.sleep(0.1)
                self._layers.sweep(scope, before)

    def _runs(self, container: str) -> bool:
        try:
            with self._daemon.errors("inspect a build container"):
                return bool(self._daemon.api.inspect_container(container)["State"]["Running"])
        except EngineError as error:
            if status(error) == 404:
                return False
            raise


def _ignored(context: Path, path: Path) -> list[str]:
    """Patterns of the Dockerfile's own .dockerignore, else of the context's."""
    for candidate in (path.with_name(path.name + ".dockerignore"), context / ".dockerignore"):
        if candidate.is_file():
            lines = [line.strip() for line in candidate.read_text(encoding="utf-8").splitlines()]
            return [line for line in lines if line and not line.startswith("#")]
    return []


def _slow(request: BuildRequest, reference: str) -> BuildFailed:
    return BuildFailed(
        f"building {reference} took longer than {request.timeout:g} s", hint="raise build.timeout in release.yaml"
    )


def failure(reference: str, log: BuildStream) -> BuildFailed:
    """The error of a build whose stream ended in one, with what is to be done about its kind."""
    error = log.error or ""
    if any(sign in error for sign in _BUILDKIT):
        hint = "the Dockerfile uses something that only BuildKit knows; write it for the classic builder"
    elif "no space left" in error.lower():
        hint = "free some disk space: release prune, docker system df"
    elif base := _FROM.match(log.step):  # nothing else happens in this step
        hint = _BASE_HINT.format(base=base[1])
    else:
        hint = f"it failed in {log.step}; the last lines were:\n  " + "\n  ".join(log.tail[-8:])
    return BuildFailed(f"building {reference} failed: {error}"[:1000], hint=hint, log="\n".join(log.tail))
