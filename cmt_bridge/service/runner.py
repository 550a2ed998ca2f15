"""Run the jobs of the table: one after the other in each lane, each as often as it takes and not more."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from cmt_bridge.config import FILE_NAME
from cmt_bridge.core.files import complete_path
from cmt_bridge.core.signature import FileSignature, signature_of
from cmt_bridge.errors import CmtBridgeError, OutputError
from cmt_bridge.service.jobs import ENDED, MOST_TRIES, Job, JobTable
from cmt_bridge.service.lane import Lane, LaneError
from cmt_bridge.service.reason import take_back, tell

__all__ = ["LANES", "Runner"]

log = logging.getLogger(__name__)

BATCH, LIVE = "batch", "live"
LANES: Final = (BATCH, LIVE)
PATIENCE = 20.0  # s; a clip that seems broken may be one whose copy has come to a halt
RETRY_EVERY = 300.0  # s, between two tries of what lacks something that no configuration file tells of
GIVE_WAY = 1.0  # s, between two looks whether a clip is still being scored for a person
SPACE_EVERY = 5.0  # s, between two looks whether a full disk has space again
SPACE = 16 << 20  # bytes; enough for any score, and a full disk has less


@dataclass(frozen=True)
class _Held:
    """Why a job is not tried at the moment: not before a time, or before a configuration file changes."""

    until: float
    configs: Mapping[Path, int] | None = None

    def is_over(self, folder: Path) -> bool:
        return time.monotonic() >= self.until or (self.configs is not None and self.configs != _configs(folder))


def _configs(folder: Path) -> dict[Path, int]:
    """Return when the configuration files that hold for a folder were changed."""
    found = {}
    for above in (folder, *folder.parents):
        with suppress(OSError):
            found[above] = (above / FILE_NAME).stat().st_mtime_ns
    return found


class Runner:
    """Run what waits in the table. `publish` is told of every change of a job, `gone` of a path that is another clip.

    What a clip lacks is said beside it, and it is not tried again before it changes. What it is scored with or written
    to may come to be in order without it, so then it waits. A full disk lets all that was found wait until there is
    space, and so does a watched folder that is not `there`. A worker that dies costs one of three tries.

    What a person asked for fails as it would without a daemon. It goes before what was found of the same clip, which
    then finds that it is done.
    """

    def __init__(
        self,
        folder: Path,
        table: JobTable,
        publish: Callable[[dict[str, Any]], None],
        gone: Callable[[str], None],
        there: Callable[[], bool],
        *,
        release: float,
    ) -> None:
        self.folder = folder
        self.lanes = {name: Lane(name, release) for name in LANES}
        self._table = table
        self._publish = publish
        self._gone = gone
        self._there = there
        self._full: Path | None = None
        self._bells = {name: asyncio.Event() for name in LANES}
        self._running: dict[int, tuple[Job, asyncio.Task[None]]] = {}
        self._held: dict[int, _Held] = {}
        self._doubted: set[int] = set()
        self._wanted = {
            job.id: job.path for job in table.list("waiting", -1) if job.lane == LIVE and job.kind == "score"
        }

    @property
    def is_full(self) -> bool:
        """Return whether space on the disk is waited for."""
        return self._full is not None

    def wake(self) -> None:
        """Look for jobs that wait."""
        for bell in self._bells.values():
            bell.set()

    def ask(self, kind: str, path: str, request: Mapping[str, Any], key: str | None = None) -> Job:
        """Take on what a person asks for; under a key that was used before it is that job."""
        there = self._table.of_key(key) if key else None
        if there is not None:
            return there
        job = self._table.add(kind, LIVE, path, "", request, key)
        if kind == "score":
            self._wanted[job.id] = path
            for other, task in self._running.values():
                if other.lane == BATCH and other.path == path:
                    task.cancel()
        self._tell(job)
        self.wake()
        return job

    def cancel(self, number: int) -> Job:
        """End a job that waits or runs."""
        job = self._table.cancel(number)
        if number in self._running:
            self._running[number][1].cancel()
        self._tell(job)
        return job

    async def run(self, lane: str) -> None:
        """Run the jobs of a lane until it is cancelled."""
        bell = self._bells[lane]
        said = ""
        while True:
            bell.clear()
            if lane == BATCH:
                await self._until_there_is_space()
            pause = None
            try:
                job = self._claim(lane)
                if job is not None:
                    await self._carry_out(job)
                    continue
                pause = self._pause()
                said = ""
            except OutputError as error:
                if str(error) != said:
                    log.warning("%s", error)
                said, pause = str(error), SPACE_EVERY
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), pause)

    async def close(self) -> None:
        """End the workers."""
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))

    # Which job is next

    def _claim(self, lane: str) -> Job | None:
        if lane == BATCH and not self._there():
            return None
        self._held = {number: held for number, held in self._held.items() if not self._is_over(number, held)}
        return self._table.claim(lane, skip=self._held.keys())

    def _is_over(self, number: int, held: _Held) -> bool:
        job = self._table.get(number)
        return job is None or job.state != "waiting" or held.is_over((self.folder / job.path).parent)

    def _pause(self) -> float | None:
        """Return how long to wait when nothing is to be done: until something that is held may be over."""
        until = min((held.until for held in self._held.values()), default=math.inf)
        return None if until == math.inf else max(0.1, until - time.monotonic())

    async def _until_there_is_space(self) -> None:
        """Wait while the disk is full."""
        while self._full is not None:
            if await asyncio.to_thread(_has_space, self._full):
                self._full = None
                log.info("There is space again.")
                return
            await asyncio.sleep(SPACE_EVERY)

    # One job

    async def _carry_out(self, job: Job) -> None:
        """Run a job to its end, and see to it that it does not count as running afterwards."""
        task = asyncio.create_task(self._run(job))
        self._running[job.id] = job, task
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            del self._running[job.id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("%s", job.path, exc_info=error)
            await self._put_back(job, error)

    async def _put_back(self, job: Job, error: BaseException) -> None:
        """Let a job wait whose end could not be noted; what it made is found when it is tried again."""
        while True:
            try:
                if isinstance(error, OutputError):
                    self._tell(self._table.release(job.id, str(error)))
                else:
                    self._again(job, self.folder / job.path, f"internal error: {error!r}.")
                return
            except OutputError:
                await asyncio.sleep(SPACE_EVERY)

    async def _run(self, job: Job) -> None:
        self._tell(job)
        path = self._whereabouts(job)
        if path is None:
            if job.id not in self._doubted and await asyncio.to_thread(_is_bare, self.folder):
                self._doubted.add(job.id)  # a disk that was taken out a moment ago; the next look will tell
                self._hold(job, f"{job.path} is not there.", SPACE_EVERY)
            else:
                self._changed(job, f"{job.path} is not there any more.")
            return
        if job.lane == BATCH and job.path in self._wanted.values():
            self._hold(job, "Somebody asked for the same.", GIVE_WAY)
            return
        try:
            message = self._message(job, path)
            answer = await self.lanes[job.lane].ask(message, lambda stage, share: self._told(job.id, stage, share))
        except asyncio.CancelledError:
            self._tell(self._table.release(job.id))
            raise
        except LaneError as error:
            self._again(job, path, str(error))
            return
        if "outcome" in answer:
            self._done(job, path, answer["outcome"])
        else:
            await self._failed(job, path, answer["error"])

    def _whereabouts(self, job: Job) -> Path | None:
        """Return where the clip of a job is by now: for what was found, where its content is, so far as it is
        wanted.
        """
        paths = self._table.paths_of(job.sha256) if job.lane == BATCH else (job.path,)
        there = [path for path in paths if (self.folder / path).exists()]
        return self.folder / (job.path if job.path in there else there[0]) if there else None

    def _message(self, job: Job, path: Path) -> dict[str, Any]:
        request: dict[str, Any] = {**job.request, "path": str(path), "key": job.key}
        message: dict[str, Any] = {"verb": job.kind, "request": request, "sha256": job.sha256}
        signature = self._signature(job, path)
        if signature is not None:
            message["signature"] = list(astuple(signature))
        if job.lane == BATCH:
            request["again"] = False
            message["whole"] = job.tries == 1
        return message

    def _told(self, number: int, stage: str, share: float) -> None:
        with suppress(OutputError):  # what is done goes on, whether or not it can be noted how far it is
            self._table.progress(number, stage, share)
        self._publish({"event": "progress", "id": number, "stage": stage, "share": share})

    def _tell(self, job: Job) -> None:
        if job.state in ENDED:
            self._wanted.pop(job.id, None)
        self._publish({"event": "job", "job": job.to_json()})

    # What came of it

    def _done(self, job: Job, path: Path, outcome: dict[str, Any]) -> None:
        takes = [take["take"] for take in outcome["takes"] if take["take"] is not None]
        self._tell(self._table.finish(job.id, takes, outcome))
        take_back(path)
        log.info("%s: %s", job.path, ", ".join(f"take {number}" for number in takes))

    async def _failed(self, job: Job, path: Path, error: dict[str, Any]) -> None:
        """Do about an error what can be done."""
        met, kind = CmtBridgeError.from_json(error), error["kind"]
        sentence = str(met)
        if job.lane == LIVE:
            self._tell(self._table.fail(job.id, sentence, code=met.exit_code))
        elif kind != "other" and self._signature(job, path) is None:
            self._changed(job, sentence)
        elif kind == "full" and not await asyncio.to_thread(_has_space, path.parent):
            self._full = path.parent
            self._tell(self._table.release(job.id, sentence))
            log.warning("%s: %s Waiting for space.", job.path, sentence)
        elif kind in ("full", "other file"):
            if tell(path, sentence, waits=True):
                log.warning("%s waits: %s", job.path, sentence)
            self._hold(job, sentence, RETRY_EVERY, _configs(path.parent))
        elif kind == "clip" and job.tries == 1:
            self._held[job.id] = _Held(time.monotonic() + PATIENCE)
            self._tell(self._table.retry(job.id, sentence))
        elif kind == "clip":
            self._give_up(job, path, sentence)
        else:
            self._again(job, path, sentence)

    def _hold(self, job: Job, sentence: str, seconds: float, configs: Mapping[Path, int] | None = None) -> None:
        """Let a job wait, at no cost of a try."""
        self._held[job.id] = _Held(time.monotonic() + seconds, configs)
        self._tell(self._table.release(job.id, sentence))

    def _changed(self, job: Job, sentence: str) -> None:
        """Note that what a job was for is not there any more; should it come again, it is scored all the same."""
        self._tell(self._table.fail(job.id, sentence, changed=True))
        for path in {job.path, *self._table.paths_of(job.sha256)}:
            self._gone(path)

    def _again(self, job: Job, path: Path, sentence: str) -> None:
        log.warning("%s, try %d of %d: %s", job.path, job.tries, MOST_TRIES, sentence)
        if job.tries >= MOST_TRIES:
            self._give_up(job, path, sentence)
        else:
            self._tell(self._table.retry(job.id, sentence))

    def _give_up(self, job: Job, path: Path, sentence: str) -> None:
        self._tell(self._table.fail(job.id, sentence))
        log.warning("%s was not scored: %s", job.path, sentence)
        if job.lane == BATCH:
            for copy in {path, *(self.folder / each for each in self._table.paths_of(job.sha256))}:
                tell(copy, sentence.replace(str(path), str(copy)))

    def _signature(self, job: Job, path: Path) -> FileSignature | None:
        """Return the signature of a clip that is as it was when its content was read; None for one that is not."""
        signature = signature_of(path)
        if signature is None:
            return None
        known = self._table.known(path.relative_to(self.folder).as_posix(), signature)
        return signature if known is not None and known == job.sha256 else None


def _is_bare(folder: Path) -> bool:
    """Return whether a folder is missing or empty, as the mount point of a disk that is not there is."""
    try:
        return not any(folder.iterdir())
    except OSError:
        return True


def _has_space(folder: Path) -> bool:
    """Return whether something can be written, really: quotas are not told by any figure. A folder that is gone has."""
    probe = folder / ".cmt-bridge-space"
    try:
        if not folder.is_dir():
            return True
        if shutil.disk_usage(folder).free < SPACE:
            return False
        with complete_path(probe) as temporary:
            temporary.write_bytes(bytes(1 << 16))
        probe.unlink()
    except (OSError, OutputError):
        return False
    return True
