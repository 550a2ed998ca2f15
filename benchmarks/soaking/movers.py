"""What people and programs do to files."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from cmt_bridge.service.jobs import ENDED
from soaking.clips import QUICK
from soaking.trial import Trial

__all__ = ["Movers"]

ASK_SECONDS = 0.03
PATIENCE_SECONDS = 600.0  # for a clip's turn to come


class Movers:
    """Ways to treat a clip, each on clips of its own and at the same time as all others.

    Where a way takes `state` and `stage`, that is what the clip's job is waited for to be in.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial, self._folder, self._lock = trial, trial.world.folder, threading.Lock()
        self._made = 0
        self._jobs: dict[str, dict[str, Any]] = {}
        self._asked = 0.0

    def slowly(self, name: str, pause: float, *, close: bool = False, halfway: str = "", then: str = "") -> None:
        """Copy a clip in pieces, renamed half-way or at the end where a name is given."""
        clip, sha256 = self._clip()
        path, data = self._folder / name, clip.read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        size = len(data) // 4 + 1
        file = path.open("wb")
        for start in range(0, len(data), size):
            if start == 2 * size and halfway:
                path = self._move(path, halfway)
            if file.closed:
                file = path.open("ab")
            file.write(data[start : start + size])
            file.flush()
            if close:
                file.close()
            time.sleep(pause)
        file.close()
        self._stays(self._move(path, then) if then else path, sha256)

    def moved(self, name: str, target: str, state: str, stage: str = "", shape: tuple[int, int] = QUICK) -> None:
        """Rename or move a clip."""
        path, sha256 = self._come(name, shape)
        self._until(path, state, stage)
        self._stays(self._move(path, target), sha256)

    def folder_moved(self, name: str, target: str, state: str, stage: str = "", shape: tuple[int, int] = QUICK) -> None:
        """Rename the folder of two clips, by the job of the first."""
        clips = [self._come(f"{name}/{each}.mp4", shape) for each in ("one", "two")]
        self._until(clips[0][0], state, stage)
        folder = self._move(self._folder / name, target)
        for path, sha256 in clips:
            self._stays(folder / path.name, sha256)

    def replaced(self, name: str, state: str, stage: str = "") -> None:
        """Put another clip in the place of one, by renaming."""
        path, old = self._come(name)
        self._until(path, state, stage)
        clip, sha256 = self._clip()
        clip.replace(path)
        self._gone(old)
        self._stays(path, sha256)

    def swapped(self, first: str, second: str, state: str) -> None:
        """Let two clips change names."""
        (one, a), (two, b) = self._come(first), self._come(second)
        self._until(one, state)
        aside = one.with_name(f".{one.name}")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        self._stays(one, b)
        self._stays(two, a)

    def deleted(self, name: str, state: str, stage: str = "") -> None:
        """Delete a clip."""
        path, sha256 = self._come(name)
        self._until(path, state, stage)
        path.unlink()
        self._gone(sha256)

    def _clip(self, shape: tuple[int, int] = QUICK) -> tuple[Path, str]:
        """Make a clip outside of the watched folder; give its path and its hash."""
        with self._lock:
            self._made += 1
            path = self._trial.world.root / "stage" / f"{self._made}.mp4"
            return path, self._trial.clips.make(path, shape)

    def _come(self, name: str, shape: tuple[int, int] = QUICK) -> tuple[Path, str]:
        """Let a clip be there under a name; give its path and its hash."""
        clip, sha256 = self._clip(shape)
        return self._move(clip, name), sha256

    def _move(self, path: Path, name: str) -> Path:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return path.rename(target)

    def _stays(self, path: Path, sha256: str) -> None:
        """Note that a file is as it shall be, and must be scored once."""
        with self._lock:
            self._trial.expected.add(self._name(path), sha256)

    def _gone(self, sha256: str) -> None:
        """Note that a content went away; it may have been scored before."""
        with self._lock:
            self._trial.expected.maybe.add(sha256)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _until(self, path: Path, state: str, stage: str = "") -> None:
        """Wait until the job of a file has ended or is in a state, and in a stage where one is given."""
        name = self._name(path)

        def there() -> bool:
            job = self._job(name)
            return bool(job) and (job["state"] in ENDED or (job["state"] == state and stage in ("", job["stage"])))

        self._trial.world.until(there, PATIENCE_SECONDS, 0.005)

    def _job(self, name: str) -> dict[str, Any]:
        """Give the latest job of a path; the daemon is asked once for all who want to know."""
        with self._lock:
            if time.monotonic() - self._asked > ASK_SECONDS:
                self._jobs = {job["path"]: job for job in reversed(self._trial.world.jobs())}
                self._asked = time.monotonic()
            return self._jobs.get(name, {})
