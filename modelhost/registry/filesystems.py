"""What kind of file system a folder lies on, by the kernel's list of mounts. Weights are mapped from a local one: the
pages of a file on a share come over the network whenever they are touched, unverified, and when the share is gone the
process that touches one waits for ever or is killed."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")  # a space, a tab, a line break and a backslash in a path
_REMOTE = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
_REMOTE_FUSE = re.compile(
    r"fuse\.(blobfuse2?|ceph(-fuse)?|curlftpfs|davfs2?|gcsfuse|glusterfs|goofys|juicefs|mount-s3|mountpoint-s3|"
    r"rclone|s3backer|s3fs|sshfs)"
)


def mounts() -> str:
    """The kernel's list, empty where it keeps none."""
    with suppress(OSError):
        return MOUNTS.read_text("utf-8", errors="surrogateescape")
    return ""


def kind_of(path: Path, mountinfo: str) -> str | None:
    """The type of the file system that holds an absolute path without links, such as `ext4` or `nfs4`; None where the
    list does not say. Format: proc_pid_mountinfo(5)."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        place, _, rest = line.partition(" - ")
        fields, kind = place.split(" "), rest.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = Path(_ESCAPED.sub(lambda each: chr(int(each[1], 8)), fields[4]))
        # Of two at one point the later one covers the other.
        if path.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = len(point.parts), kind
    return None if found is None else found[1]


def is_remote(kind: str | None) -> bool:
    """Whether files of such a file system come over a network."""
    return kind is not None and (kind in _REMOTE or _REMOTE_FUSE.fullmatch(kind) is not None)
