"""Which file systems are mounted, and which of them lie on other machines.

Asks the system; knows nothing of the library. Where the system does not tell, everything is taken for a local disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "afpfs",
        "webdav",
        "davfs",
        "davfs2",
        "ncpfs",
        "9p",  # Windows' disks in WSL, folders of a virtual machine's host
        "drvfs",
        "virtiofs",
        "vboxsf",
        "vmhgfs",
        "ceph",
        "glusterfs",
        "lustre",
        "afs",
        "sshfs",
        "fuse",  # sshfs, rclone and others name themselves after the dot, or not at all
        "remote",  # Windows' word for a network drive
    }
)
"""Changes that another machine makes there are not told to this one."""

_LOCAL_FUSE = frozenset({"fuse.mergerfs", "fuse.encfs", "fuse.gocryptfs", "fuseblk"})


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system."""

    path: str
    """Where it is mounted, without a link in it."""
    is_network: bool


def mounts() -> tuple[Mount, ...]:
    """Every mounted file system."""
    import psutil

    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return ()
    return tuple(Mount(each.mountpoint, _is_network(each.fstype, each.opts)) for each in partitions)


def _is_network(file_system: str, options: str) -> bool:
    name = file_system.lower()
    if name in _LOCAL_FUSE:
        return False
    return name.split(".")[0] in NETWORK_FILE_SYSTEMS or "remote" in options.split(",")


def is_on_network(path: str, mounted: tuple[Mount, ...]) -> bool:
    """Whether the file system that holds `path` (absolute, no links) is another machine's."""
    longest = max((each for each in mounted if is_below(path, each.path)), key=_path_length, default=None)
    return longest is not None and longest.is_network


def _path_length(mount: Mount) -> int:
    return len(mount.path)


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
