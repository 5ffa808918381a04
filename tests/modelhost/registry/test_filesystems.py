"""Which file system a folder lies on, by the kernel's list of mounts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from modelhost.registry.filesystems import is_remote, kind_of, mounts

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
61 27 0:44 / /mnt rw,relatime shared:30 - autofs systemd-1 rw,fd=51
62 61 0:45 / /mnt/models rw,relatime shared:31 master:2 - autofs systemd-1 rw,fd=52
63 62 0:46 / /mnt/models rw,relatime shared:32 - nfs4 store:/models rw,vers=4.2,hard
64 27 0:47 / /srv/two\040words rw - cifs //store/models rw,vers=3.1.1
65 27 0:48 / /srv/shell rw,nosuid - fuse.sshfs store:/models rw,user_id=0
66 63 8:2 / /mnt/models/here rw - xfs /dev/sdb1 rw
not a line of this list
"""


@pytest.mark.parametrize(
    ("folder", "kind", "remote"),
    [
        ("/srv/models", "ext4", False),
        ("/", "ext4", False),
        ("/mnt/models", "nfs4", True),
        ("/mnt/models/translator/1.0.0", "nfs4", True),
        ("/mnt/models-of-another", "autofs", False),
        ("/mnt/models/here/translator", "xfs", False),
        ("/srv/two words/translator", "cifs", True),
        ("/srv/two", "ext4", False),
        ("/srv/shell", "fuse.sshfs", True),
    ],
)
def test_the_innermost_mount_that_is_not_covered_says_what_a_folder_lies_on(
    folder: str, kind: str, remote: bool
) -> None:
    assert kind_of(Path(folder), MOUNTINFO) == kind
    assert is_remote(kind) is remote


def test_nothing_is_known_where_the_kernel_keeps_no_list() -> None:
    assert kind_of(Path("/srv"), "") is None and not is_remote(None)


def test_a_folder_of_this_machine_is_found_as_the_system_finds_it(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    said = subprocess.run(
        ["findmnt", "-n", "-o", "FSTYPE", "-T", str(folder)], capture_output=True, text=True, check=True
    )
    assert kind_of(folder, mounts()) == said.stdout.strip()
