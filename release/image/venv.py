"""Virtual environments of the process engine: one for each requirements file, shared by the images that need it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from release.errors import BuildFailed
from release.image.cache import locked, writing
from release.image.store import Progress

_WHOLE = ".complete"


class Venvs:
    def __init__(self, root: Path) -> None:
        self._root = root

    def obtain(self, requirements: Path | None, timeout: float, progress: Progress) -> Path:
        """The environment for these requirements, made where it is not here yet; a bare one for None.

        It is made in its place, as a virtual environment cannot be moved; a mark says that it is whole.
        """
        content = b"" if requirements is None else requirements.read_bytes()
        key = hashlib.sha256(sys.version.encode() + b"\0" + content).hexdigest()[:32]
        target = self._root / key
        with locked(self._root / f"{key}.lock"):
            if not (target / _WHOLE).exists():
                shutil.rmtree(target, ignore_errors=True)
                try:
                    self._make(target, requirements, timeout, progress)
                except BaseException:
                    shutil.rmtree(target, ignore_errors=True)
                    raise
        return target

    def keep_only(self, needed: Collection[str]) -> None:
        """Removes every environment that no image needs."""
        for path in self._root.glob("[0-9a-f]*"):
            if path.is_dir() and str(path) not in needed:
                shutil.rmtree(path, ignore_errors=True)
                path.with_suffix(".lock").unlink(missing_ok=True)

    def _make(self, target: Path, requirements: Path | None, timeout: float, progress: Progress) -> None:
        progress("making a virtual environment" + (f" with {requirements.name}" if requirements else ""))
        make = [sys.executable, "-m", "venv", *([] if requirements else ["--without-pip"]), str(target)]
        _run(make, timeout, "make a virtual environment", "apt-get install python3-venv")
        if requirements is not None:
            install = [str(target / "bin" / "python"), "-m", "pip", "install", "--no-input", "--progress-bar=off"]
            install += ["--disable-pip-version-check", "--requirement", str(requirements)]
            _run(install, timeout, f"install {requirements.name}", "is the package index reachable? pip config list")
        with writing(target):
            (target / _WHOLE).touch()


def _run(command: list[str], timeout: float, doing: str, hint: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"could not {doing} within {timeout:g} s", hint="raise build.timeout") from error
    except OSError as error:
        raise BuildFailed(f"could not {doing}: {error.strerror}", hint=hint) from error
    if done.returncode != 0:
        tail = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-8:]
        raise BuildFailed(f"could not {doing}", hint=f"{hint}; it said:\n  " + "\n  ".join(tail))
