"""The way into a registry's directory: a version is built under a hidden name beside its place, then renamed into it.

Whoever builds holds a lock for as long as it lives. A hidden directory whose lock is free was left by one that was
killed; the next to come sweeps it. The final name appears in one step, with everything durable below it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelhost.registry.directory import DirectoryRegistry
from modelhost.registry.durable import remove, seal, sync_directory, try_lock
from modelhost.registry.layout import LOCK_FILE, STAGING, TRASH, component_directory

_HELD = ".lock"  # beside the directory, and not in it: it must not arrive with it


@contextmanager
def staging(registry: DirectoryRegistry, component: str, version: str) -> Iterator[Path]:
    """An empty directory for a version, in the file system of its place; gone afterwards unless it `arrive`d.

    Makes the component's directory where it is the first version, and sweeps what others left. Raises OSError.
    """
    folder = component_directory(registry.root, component)
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync_directory(folder.parent)
    stage = folder / f"{STAGING}{version}-{os.getpid()}-{os.urandom(4).hex()}"
    lock = stage.with_name(stage.name + _HELD)
    with registry.changing(component):
        sweep(folder)
        held = try_lock(lock)
        assert held is not None, "the name is random"
        stage.mkdir(mode=0o700)
    try:
        yield stage
    finally:
        remove(stage)
        lock.unlink(missing_ok=True)
        os.close(held)


def arrive(registry: DirectoryRegistry, stage: Path, target: Path) -> bool:
    """Seal a staged directory and rename it to its place; False where something lies there. Whoever calls holds
    `changing`. Raises OSError."""
    seal(stage)
    if target.is_symlink():
        return False
    try:
        stage.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    sync_directory(target.parent)
    return True


def sweep(folder: Path) -> list[str]:
    """Remove what killed publishers and collectors left in a component's directory; the names. Whoever calls holds
    `changing`, so that nobody begins meanwhile."""
    names = {
        entry.name.removesuffix(_HELD)
        for entry in os.scandir(folder)
        if entry.name.startswith((STAGING, TRASH)) and entry.name != LOCK_FILE
    }
    return sorted(name for name in names if _removed(folder / name))


def _removed(path: Path) -> bool:
    lock = path.with_name(path.name + _HELD)
    held = try_lock(lock)
    if held is None:
        return False
    remove(path)
    lock.unlink(missing_ok=True)
    os.close(held)
    return True
