"""One share directory: the files by which nginx tells, a request at a time, whether green serves it.

ok           present in every share directory, so that a tree nginx cannot read is told from one that says blue;
             holds the share and its owner as JSON
only-green   green serves everything; only-blue: blue does. They spare nginx the bucket
0 … 999      one empty file for each bucket that green serves
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from release.errors import ProxyError
from release.proxy.base import Traffic
from release.proxy.durable import make_directory, sync_directory

BUCKETS = 1000
_OWNER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")


def checked(traffic: Traffic) -> Traffic:
    """The same traffic, or ProxyError where its share or its owner cannot be one."""
    if not 0 <= traffic.green <= BUCKETS:
        raise ProxyError(f"a share of {traffic.green} per mille", hint="shares go from 0 to 1000")
    if not _OWNER.fullmatch(traffic.owner):
        raise ProxyError(
            f"{traffic.owner!r} cannot own traffic", hint="use letters, digits, dots, dashes and underscores"
        )
    return traffic


def buckets(owner: str, green: int) -> list[int]:
    """The buckets that green serves: nested as the share grows, in an order of the owner's own.

    A client keeps its bucket, so a fixed order would make the same clients the first of every canary.
    """
    order = sorted(range(BUCKETS), key=lambda bucket: hashlib.sha256(f"{owner}:{bucket}".encode()).digest())
    return order[:green]


def files(traffic: Traffic) -> list[str]:
    """Names of the empty files beside `ok`."""
    whole = {0: ["only-blue"], BUCKETS: ["only-green"]}
    return whole.get(traffic.green) or ["both", *(str(bucket) for bucket in buckets(traffic.owner, traffic.green))]


def describe(traffic: Traffic) -> str:
    return json.dumps({"green": traffic.green, "owner": traffic.owner}) + "\n"


def build(path: Path, traffic: Traffic) -> None:
    """Builds the share directory beside `path` and renames it into place: a half-filled one is never seen.

    Whoever finds `path` finds it complete and durable. Raises OSError.
    """
    fresh_parents = [directory for directory in (path.parent, path.parent.parent) if not directory.exists()]
    make_directory(path.parent)
    fresh = path.parent / f".new-{path.name}-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        make_directory(fresh)
        _fill(fresh, traffic)
        try:
            fresh.rename(path)
        except OSError:
            if not (path / "ok").exists():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    for directory in (path.parent, *(parent.parent for parent in fresh_parents)):
        sync_directory(directory)


def read(path: Path) -> Traffic:
    """What the share directory says of itself. Raises OSError, or ValueError where it is damaged."""
    said = json.loads((path / "ok").read_text(encoding="utf-8"))
    return Traffic(int(said["green"]), str(said["owner"]))


def _fill(directory: Path, traffic: Traffic) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in files(traffic):
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=handle))
        ok = os.open("ok", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=handle)
        with os.fdopen(ok, "w", encoding="utf-8") as file:
            os.fchmod(ok, 0o644)  # nginx's worker reads it, whatever the umask
            file.write(describe(traffic))
            file.flush()
            os.fsync(ok)
        os.fsync(handle)
    finally:
        os.close(handle)
