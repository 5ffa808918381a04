"""Python wheels for a build without a network: downloaded once for each set of frozen requirements, with their hashes.

The cache is keyed by the requirements' content and the Python they are for. The user's own pip configuration (index,
certificates, find-links) is honoured.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from release.children import child
from release.config.image import Wheelhouse
from release.errors import BuildFailed
from release.image.cache import locked, writing
from release.image.store import Progress


class WheelCache:
    """`root` holds one folder for each requirements file and Python; a folder that is there is whole."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def fill(self, wheelhouse: Wheelhouse, context: Path, tree: Path, progress: Progress) -> None:
        """Places the wheels into the build context. Raises BuildFailed with pip's last lines."""
        wheels = self.obtain(tree / wheelhouse.requirements, wheelhouse.python, progress)
        target = context / wheelhouse.directory
        with writing(target):
            target.mkdir(parents=True, exist_ok=True)
            for wheel in wheels.iterdir():
                _place(wheel, target / wheel.name)

    def obtain(self, requirements: Path, python: str, progress: Progress) -> Path:
        """The folder of wheels for these requirements, downloaded where it is not here yet."""
        try:
            content = requirements.read_bytes()
        except OSError as error:
            raise BuildFailed(
                f"no requirements file {requirements.name} at this commit",
                hint="build.wheelhouse.requirements is relative to release.yaml, and has to be committed",
            ) from error
        target = self._root / key(content, python)
        with locked(target.with_suffix(".lock")):
            for left in self._root.glob(f".{target.name}-*"):  # of a download that was killed
                shutil.rmtree(left, ignore_errors=True)
            if not target.is_dir():
                self._download(requirements, python, target, progress)
        return target

    def _download(self, requirements: Path, python: str, target: Path, progress: Progress) -> None:
        progress(f"downloading wheels of {requirements.name} for Python {python}; once for these requirements")
        with writing(self._root):
            beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=self._root))
        try:
            _pip(command(requirements, python, beside), progress)
            with writing(self._root):
                beside.chmod(0o755)
                beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        progress(f"{len(list(target.iterdir()))} wheels are here")


def key(requirements: bytes, python: str) -> str:
    """Name of the folder for requirements and a Python: equal content, equal folder."""
    return hashlib.sha256(b"%s\0%s\0%s" % (python.encode(), platform.machine().encode(), requirements)).hexdigest()[:32]


def command(requirements: Path, python: str, into: Path) -> list[str]:
    """pip's command line. Where the image's Python is not the one that runs here, pip is told what to look for."""
    line = [sys.executable, "-m", "pip", "download", "--require-hashes", "--only-binary=:all:", "--no-input"]
    line += [
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--requirement",
        str(requirements),
        "--dest",
        str(into),
    ]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python != here:
        machine = platform.machine()
        line += ["--python-version", python, "--implementation", "cp"]
        for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1", "linux"):
            line += ["--platform", f"{tag}_{machine}"]
    return line


def _pip(line: list[str], progress: Progress) -> None:
    tail: list[str] = []
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    pip = child(
        line, _end, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    )
    with pip as process:
        for output in process.stdout:
            tail = [*tail, output.rstrip()][-12:]
            if output.startswith(("Collecting", "Saved", "  Downloading")):
                progress(output.strip())
        process.wait()
    if process.returncode != 0:
        said = [line for line in tail if line.startswith("ERROR:")] or tail or [f"exit code {process.returncode}"]
        raise BuildFailed(f"pip could not download the wheels: {said[0][:300]}", hint=_hint(tail))


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _hint(tail: list[str]) -> str:
    text = "\n".join(tail)
    if "No module named pip" in text:
        return f"{sys.executable} -m ensurepip"
    if "hash" in text.lower():
        fix = "every requirement and its dependencies need a version and a --hash: pip-compile --generate-hashes"
    elif "No matching distribution" in text or "Could not find a version" in text:
        fix = "is there a wheel of this version for the image's Python (build.wheelhouse.python) on the index?"
    else:
        fix = "is the package index reachable? pip config list"
    return f"{fix}; pip said:\n  " + "\n  ".join(tail)


def _place(wheel: Path, target: Path) -> None:
    """A hard link where both lie on one file system, else a copy."""
    target.unlink(missing_ok=True)
    try:
        os.link(wheel, target)
    except OSError:
        shutil.copyfile(wheel, target)
