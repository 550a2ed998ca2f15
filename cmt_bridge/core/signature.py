"""What tells one state of a file from another without reading it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileSignature", "identity", "signature_of"]


@dataclass(frozen=True, slots=True)
class FileSignature:
    """Size in bytes, times in nanoseconds of the last change of the content and of anything, and inode.

    The first time and the size can be kept by whoever changes a file in place; `ctime_ns` cannot. On Windows, where
    that is the time when the file was made, the others have to do.
    """

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> FileSignature:
        """Return the signature out of what `stat` says."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)

    def __str__(self) -> str:
        return f"{self.size} {self.mtime_ns} {self.inode} {self.ctime_ns}"


def signature_of(path: Path) -> FileSignature | None:
    """Return the signature of a file; None where there is none, or it cannot be looked at."""
    try:
        return FileSignature.of(path.stat())
    except OSError:
        return None


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what lies at a path, a link itself; None where nothing does."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
