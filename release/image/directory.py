"""Images of the process engine: immutable folders of a tagged commit, with a virtual environment and the same labels.

    images/<sha256>/tree/         the build context at that commit
    images/<sha256>/image.json    labels, command, environment, virtual environment
    venvs/<key>/                  shared by all images with the same requirements

An image appears by rename and is whole then. Its command is the Dockerfile's CMD; it runs in `tree`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from release import naming
from release.errors import BuildFailed, EngineError
from release.image import dockerfile, labels
from release.image.cache import make_folder
from release.image.store import BuildRequest, Image, Progress
from release.image.venv import Venvs
from release.naming import ReleaseName

_BUILDING = ".building-"


class DirectoryImages:
    """ImageStore in a folder; `root` is what ProcessEngine shares."""

    def __init__(self, root: Path) -> None:
        self._root = root / "images"
        self._venvs = Venvs(root / "venvs")

    def find(self, repository: str, release: ReleaseName) -> Image | None:
        reference = f"{repository}:{release}"
        return next((image for image in self._every() if image.reference == reference), None)

    def get(self, image_id: str) -> Image | None:
        if ":" in image_id and not image_id.startswith("sha256:"):
            return next((image for image in self._every() if image.reference == image_id), None)
        return _load(self._root / image_id.removeprefix("sha256:"))

    def all(self, scope: str) -> list[Image]:
        return [image for image in self._every() if image.labels.get(naming.LABEL_SCOPE) == scope]

    def build(self, request: BuildRequest, progress: Progress) -> Image:
        reference = f"{request.repository}:{request.release}"
        began = time.monotonic()
        with self._beside(request) as beside:
            progress(f"copying {request.context.name} of {request.release}")
            shutil.copytree(request.context, beside / "tree", symlinks=True)
            runtime = _runtime(request)
            requirements = _requirements(request)
            venv = self._venvs.obtain(requirements, request.timeout, progress)
            record = {
                "reference": reference,
                "labels": dict(request.labels),
                "command": list(runtime.command),
                "env": dict(runtime.env),
                "venv": str(venv),
                "created": request.labels.get(labels.CREATED, ""),
                "size": sum(path.lstat().st_size for path in (beside / "tree").rglob("*")),
            }
            (beside / "image.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
            name = _digest(beside)
            _publish(beside, self._root / name)
        progress(f"{reference} is ready after {time.monotonic() - began:.1f} s")
        built = self.get(name)
        if built is None:
            raise BuildFailed(f"{reference} was built and is gone", hint="is something else removing images here?")
        return built

    def hold(self, image: Image, scope: str, *, pulled: bool) -> None:
        """Every scope has a folder of its own here."""

    def remove(self, image: Image) -> None:
        place = self._root / image.id.removeprefix("sha256:")
        if image.id in self._used():
            raise EngineError(f"{image.reference} is in use by an instance", hint="release status")
        hidden = self._root / f"{_BUILDING}removed-{place.name}"
        try:
            shutil.rmtree(hidden, ignore_errors=True)  # of a removal that was killed
            place.rename(hidden)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise EngineError(f"cannot remove {image.reference}: {error.strerror}", hint=f"ls -la {place}") from error
        shutil.rmtree(hidden, ignore_errors=True)
        self._venvs.keep_only({self._venv(path) for path in self._places()})

    def leftovers(self, scope: str) -> list[str]:
        """Half-made images that no build holds any more."""
        return [path.name for path in self._root.glob(f"{_BUILDING}*") if path.is_dir() and not _held(path)]

    def forget_cache(self, scope: str) -> None:
        """Nothing is kept here that the images themselves do not share."""

    def discard(self, leftover: str) -> None:
        if leftover.startswith(_BUILDING) and "/" not in leftover:
            shutil.rmtree(self._root / leftover, ignore_errors=True)

    @contextlib.contextmanager
    def _beside(self, request: BuildRequest) -> Iterator[Path]:
        """A folder to build in, held by a lock as long as this process lives, and gone where the build fails."""
        try:
            make_folder(self._root)
            beside = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self._root))
            with (beside / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    yield beside
                finally:
                    shutil.rmtree(beside, ignore_errors=True)
        except OSError as error:
            raise BuildFailed(
                f"building {request.release} failed: {error.strerror or error}", hint=f"df {self._root}"
            ) from error

    def _used(self) -> set[str]:
        """Ids of the images that instances of this root were started from."""
        used = set()
        for spec in (self._root.parent / "instances").glob("*/spec.json"):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                used.add(json.loads(spec.read_text(encoding="utf-8")).get("image_id"))
        return used

    def _every(self) -> Iterator[Image]:
        for place in self._places():
            image = _load(place)
            if image is not None:
                yield image

    def _places(self) -> list[Path]:
        if not self._root.is_dir():
            return []
        return sorted(path for path in self._root.iterdir() if not path.name.startswith("."))

    def _venv(self, place: Path) -> str:
        return str(_record(place).get("venv", ""))


def _publish(beside: Path, target: Path) -> None:
    if target.exists():
        return  # the very same content is there already
    for path in (beside / "tree").rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    (beside / "lock").unlink()
    beside.chmod(0o755)
    beside.rename(target)


def _digest(beside: Path) -> str:
    """The content address: of every file's path, mode and bytes, and of what the image says of itself."""
    total = hashlib.sha256((beside / "image.json").read_bytes())
    tree = beside / "tree"
    for path in sorted(tree.rglob("*")):
        name = os.fsencode(path.relative_to(tree))
        if path.is_symlink():
            content, kind = os.fsencode(path.readlink()), b"l"
        elif path.is_file():
            content, kind = path.read_bytes(), b"x" if path.stat().st_mode & 0o100 else b"f"
        else:
            continue
        total.update(b"%s%d:%s%d:" % (kind, len(name), name, len(content)))
        total.update(content)
    return total.hexdigest()


def _runtime(request: BuildRequest) -> dockerfile.Runtime:
    path = request.context / request.dockerfile
    try:
        return dockerfile.runtime(path.read_text(encoding="utf-8"), request.args)
    except FileNotFoundError:
        return dockerfile.Runtime()  # container.command says it then
    except (OSError, ValueError) as error:
        hint = "is it UTF-8 text, and is every quote closed?"
        raise BuildFailed(f"{request.dockerfile} cannot be read: {error}", hint=hint) from error


def _requirements(request: BuildRequest) -> Path | None:
    if request.requirements is not None:
        if not request.requirements.is_file():
            raise BuildFailed(
                f"no requirements file {request.requirements.name} at this commit",
                hint="build.wheelhouse.requirements is relative to release.yaml, and has to be committed",
            )
        return request.requirements
    usual = request.context / "requirements.txt"
    return usual if usual.is_file() else None


def _load(place: Path) -> Image | None:
    record = _record(place)
    if not record:
        return None
    return Image(
        id=f"sha256:{place.name}",
        reference=record["reference"],
        labels=record["labels"],
        created=record["created"],
        size=record["size"],
    )


def _record(place: Path) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = json.loads((place / "image.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"cannot read the image in {place}: {error}", hint="remove that folder") from error
    return found


def _held(path: Path) -> bool:
    """Whether the build that made this folder still runs."""
    try:
        with (path / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
