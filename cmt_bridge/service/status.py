"""How a daemon is, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DaemonStatus"]


@dataclass(frozen=True)
class DaemonStatus:
    """How a daemon is at a moment.

    `is_there` is whether the watched folder can be seen, `videos` how many videos are in it, `is_full` whether space on
    the disk is waited for. `jobs` counts the jobs by their state. `workers` are the processes of the lanes by name,
    None for a lane without one. `problems` are sentences. `playing` is the video that is streamed, from the folder;
    empty where none is.
    """

    folder: Path
    pid: int
    version: str
    is_there: bool
    videos: int
    is_full: bool
    jobs: Mapping[str, int]
    workers: Mapping[str, int | None]
    problems: tuple[str, ...]
    playing: str

    def to_json(self) -> dict[str, Any]:
        """Return the status as the operation `status` answers it."""
        return {
            "folder": str(self.folder),
            "pid": self.pid,
            "version": self.version,
            "there": self.is_there,
            "videos": self.videos,
            "full": self.is_full,
            "jobs": dict(self.jobs),
            "workers": dict(self.workers),
            "problems": list(self.problems),
            "stream": self.playing,
        }
