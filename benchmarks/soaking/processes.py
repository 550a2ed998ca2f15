"""What the kernel tells of processes; all of it is empty or 0 once they are gone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["children", "cpu_seconds", "memory", "with_variable"]


def children(pid: int) -> list[int]:
    """Give the processes that a process started."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def memory(pid: int, what: str = "VmRSS") -> float:
    """Give the resident memory of a process in MB, its peak with VmHWM."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Give the processor time that a process has taken."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def with_variable(name: str, value: str) -> list[int]:
    """Give the processes, but this one, that were started with an environment variable."""
    mark = f"{name}={value}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(path.name) != os.getpid() and mark in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found
