"""As whom nginx's workers run, and what they may read. A flag tree that they cannot reach answers 503."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_USUAL = ("www-data", "nginx", "http", "nobody")


@dataclass(frozen=True)
class Worker:
    """`directive` is what nginx's `user` says; None where nginx cannot change its user, because it is not root."""

    name: str
    uid: int
    gids: frozenset[int]
    directive: str | None = None


def current() -> Worker:
    """Whoever runs this."""
    return Worker(_name(os.geteuid()), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def named(name: str) -> Worker | None:
    """The account `name`, with all its groups; None where there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    gids = frozenset({entry.pw_gid, *os.getgrouplist(name, entry.pw_gid)})
    return Worker(name, entry.pw_uid, gids, f"{name} {grp.getgrgid(entry.pw_gid).gr_name}")


def choose(traffic: Path) -> Worker:
    """The first of the usual accounts that can read the flag tree; else, and without root, whoever runs this."""
    if os.geteuid() != 0:
        return current()
    for name in _USUAL:
        worker = named(name)
        if worker is not None and not unreadable_by(worker, traffic):
            return worker
    return Worker("root", 0, frozenset({0}), "root root")


def unreadable_by(worker: Worker, path: Path) -> list[str]:
    """Sentences that name each directory on the way to `path` that `worker` cannot pass, and the mend.

    Access control lists are not looked at; what nginx really sees is told by its admin location.
    """
    if worker.uid == 0:
        return []
    existing = next(place for place in [path, *path.parents] if place.exists())
    blocked = [place for place in [*reversed(existing.parents), existing] if not _passes(worker, place)]
    return [f"{place} is closed to nginx's user {worker.name}: chmod o+x {place}" for place in blocked]


def unreadable_by_worker(path: Path) -> list[str]:
    """As `unreadable_by`, for the account that a managed nginx would best run as: the first of the usual ones."""
    if os.geteuid() != 0:
        return unreadable_by(current(), path)
    worker = next(filter(None, map(named, _USUAL)), None)
    return unreadable_by(worker, path) if worker is not None else []


def _passes(worker: Worker, place: Path) -> bool:
    status = place.stat()
    if status.st_uid == worker.uid:
        bit = stat.S_IXUSR
    elif status.st_gid in worker.gids:
        bit = stat.S_IXGRP
    else:
        bit = stat.S_IXOTH
    return bool(status.st_mode & bit) if place.is_dir() else True


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
