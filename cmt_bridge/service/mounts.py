"""What kind of file system a file lies on."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_remote"]

MOUNTS = Path("/proc/self/mountinfo")
# Changes made at the other end are not told to this machine, and leases say nothing about writers there.
REMOTE = frozenset(
    {
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "fakeowner",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "osxfs",
        "prl_fs",
        "smb2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
    }
)
REMOTE_FAMILY = "fuse."  # what a program serves, sshfs for one; `fuseblk` is a disk of this machine


def is_remote(device: int, mounts: Path = MOUNTS) -> bool:
    """Return whether a device (`st_dev`) is a network or shared file system, as far as this system says.

    `mounts` is Linux's table of mounts; where there is none, as on other systems, nothing counts as remote.
    """
    number = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields, kind = mount.split(), source.split(" ", 1)[0]
        if len(fields) > 2 and fields[2] == number:
            return kind in REMOTE or kind.startswith(REMOTE_FAMILY)
    return False
