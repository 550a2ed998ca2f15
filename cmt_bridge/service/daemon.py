"""The daemon of a folder: what is started in which order, and what it does for those who ask."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cmt_bridge import __version__
from cmt_bridge.config import Watching, read_config, watched
from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.control import Control, Json, Mark
from cmt_bridge.service.events import Events
from cmt_bridge.service.finder import Finder
from cmt_bridge.service.instance import Held, hold
from cmt_bridge.service.jobs import JobTable
from cmt_bridge.service.osc import OscControl
from cmt_bridge.service.runner import LANES, Runner
from cmt_bridge.service.spool import Spool
from cmt_bridge.service.stage import Stage
from cmt_bridge.settings import check_texts
from cmt_bridge.verbs.choose import choose, compare, list_takes
from cmt_bridge.verbs.export import export, music_of
from cmt_bridge.verbs.regenerate import RegenerateRequest

__all__ = ["Daemon", "watch"]

log = logging.getLogger(__name__)

JOBS, SPOOL = "jobs.db", "spool"
MEND_EVERY = 1.0  # s, between two looks whether the state folder is whole
FORCED = 130  # exit code after a second Ctrl-C
SECONDS_PER_MINUTE = 60


class Daemon:
    """Watch a folder, run its jobs, and answer: this is the desk that control API and OSC talk to.

    `port` and `osc` are ports of the control API (0: one that is free) and of OSC (0: none).
    """

    def __init__(self, held: Held, *, port: int = 0, osc: int = 0) -> None:
        self.folder = held.folder
        self.events = Events()
        self._held = held
        self._ports = port, osc
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Start in order, run until it is stopped, and stop in the reverse order."""
        async with AsyncExitStack() as started:
            started.enter_context(watched(self.folder))
            config = self._watching()
            self._table = JobTable(self._held.state / JOBS)
            started.callback(self._table.close)
            self._recover()
            self._finder = Finder(self.folder, self._table, lambda: self._runner.wake())
            self._runner = Runner(
                self.folder,
                self._table,
                self.events.publish,
                self._finder.forget,
                lambda: self._finder.is_there,
                release=config.release * SECONDS_PER_MINUTE,
            )
            started.push_async_callback(self._runner.close)
            self._stage = Stage(self.folder, self.events.publish, config.release * SECONDS_PER_MINUTE)
            port, osc = self._ports
            control = Control(self, self._held.token, port)
            await control.start()
            started.push_async_callback(control.stop)
            if osc or config.osc:
                listener = OscControl(self, self._held.token, osc or config.osc)
                log.info("OSC at port %d", await listener.start())
                started.push_async_callback(listener.stop)
            started.push_async_callback(self._stage.close)
            await self._stage.start()
            tasks = [asyncio.create_task(self._runner.run(lane)) for lane in LANES]
            tasks.append(asyncio.create_task(self._finder.run()))
            tasks.append(asyncio.create_task(self._mend()))
            tasks.append(asyncio.create_task(Spool(self, self._held.state / SPOOL).run()))
            started.push_async_callback(_end, tasks)
            started.push_async_callback(self._finder.stop)
            self._held.announce(control.port)
            log.info("watching %s (process %d, port %d)", self.folder, os.getpid(), control.port)
            await self._wait(tasks)
            log.info("stopping")

    def _watching(self) -> Watching:
        """Give how the folder is to be watched; as usual where its configuration cannot be read, as the looks say."""
        try:
            return read_config(self.folder).watch
        except UsageError:
            return Watching()

    def _recover(self) -> None:
        """Take up what a daemon before this one left."""
        for notice in filter(None, (self._held.note, self._table.notice)):
            log.warning("%s", notice)
        for job in self._table.recover():
            log.info("%s goes on where it was stopped", job.path)
        self._table.prune()

    async def _mend(self) -> None:
        """Bring back what is deleted of the state folder; raises `UsageError` where another daemon took it over."""
        said = ""
        while True:
            await asyncio.sleep(MEND_EVERY)
            try:
                notices = [await asyncio.to_thread(self._held.mend), self._table.mend()]
            except UsageError:
                raise
            except CmtBridgeError as error:
                notices = [str(error)] if str(error) != said else []
                said = str(error)
            for notice in filter(None, notices):
                log.warning("%s", notice)

    async def _wait(self, tasks: list[asyncio.Task[None]]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()  # a part that ended by itself is at fault

    def interrupt(self) -> None:
        """Stop in order; the second time at once."""
        if self._stopping.is_set():
            os._exit(FORCED)  # workers end with their input
        self._stopping.set()

    # What can be asked for, as `Desk` says

    async def status(self) -> Json:
        """Tell how the daemon is."""
        return {
            "folder": str(self.folder),
            "pid": os.getpid(),
            "version": __version__,
            "there": self._finder.is_there,
            "videos": self._finder.videos,
            "full": self._runner.is_full,
            "jobs": self._table.counts(),
            "workers": {name: lane.pid for name, lane in self._runner.lanes.items()},
            "problems": list(self._finder.problems),
            "stream": self._stage.state()["playing"],
        }

    async def jobs(self, state: str | None, limit: int) -> list[Json]:
        """Give the latest jobs."""
        return [job.to_json() for job in self._table.list(state, limit)]

    async def job(self, number: int) -> Json | None:
        """Give a job."""
        job = self._table.get(number)
        return job.to_json() if job else None

    async def cancel(self, number: int) -> Json | None:
        """End a job that waits or runs."""
        return self._runner.cancel(number).to_json() if self._table.get(number) else None

    async def score(self, request: Json) -> Json:
        """Take on a request to score."""
        settings: Json = {name: request[name] for name in ("variations", "seed") if name in request}
        settings |= request.get("options", {})
        check_texts(settings)
        asked = {"settings": settings, "again": request.get("again", True)}
        return self._asked("score", request["path"], asked, request.get("key"))

    async def regenerate(self, request: Json) -> Json:
        """Take on a request to regenerate."""
        said = {"seed": secrets.randbelow(2**31), **request}
        if "base" in said:
            said["base"] = str(self.folder / said["base"])
        RegenerateRequest.from_json(said)  # what cannot be is refused at once
        del said["path"]
        return self._asked("regenerate", request["path"], said, said.pop("key", None))

    def _asked(self, kind: str, path: str, request: Json, key: str | None) -> Json:
        if not (self.folder / path).exists():
            raise UsageError(f"There is no {path} in {self.folder}.", hint="Name a video in the watched folder.")
        return self._runner.ask(kind, path, request, key).to_json()

    async def takes(self, path: str) -> Json:
        """Give the takes of a video."""
        return await asyncio.to_thread(list_takes, self.folder / path)

    async def choose(self, path: str, verb: Mark, take: int | None, step: int) -> Json:
        """Choose or mark a take."""
        return await asyncio.to_thread(choose, self.folder / path, verb, take, step=step)

    async def diff(self, path: str, a: int, b: int) -> Json:
        """Give in what two takes differ."""
        return await asyncio.to_thread(compare, self.folder / path, a, b)

    async def arrangement(self, path: str, take: int | None) -> Json:
        """Give the music of a take."""
        return await asyncio.to_thread(music_of, self.folder / path, take)

    async def export(self, path: str, project: str, take: int | None, start: str | None, rate: str | None) -> Json:
        """Write a project of a video, or what else a session can open."""
        made = await asyncio.to_thread(export, self.folder / path, [project], take=take, start=start, rate=rate)
        return {"files": [each.to_json() for each in made]}

    async def stream(self, request: Json) -> Json:
        """Begin to play a video."""
        return await self._stage.play(request["path"], request)

    async def stream_status(self) -> Json:
        """Tell what is played."""
        return self._stage.state()

    async def stream_control(self, wanted: Json) -> Json:
        """Set controls of what is played."""
        return self._stage.control(wanted)

    async def stream_stop(self) -> Json:
        """End what is played."""
        await self._stage.stop()
        return self._stage.state()

    async def stop(self) -> None:
        """Begin to end."""
        self._stopping.set()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("%r", result)


def watch(folder: Path, *, port: int = 0, osc: int = 0) -> None:
    """Watch a folder until Ctrl-C, SIGTERM or somebody's `stop`.

    Raises `UsageError` where it is watched already, and the errors of what it is started with.
    """
    with hold(folder) as held:
        try:
            asyncio.run(_serve(held, port, osc))
        except Exception as error:
            known = isinstance(error, CmtBridgeError)
            log.error("%s", error if known else repr(error), exc_info=None if known else error)
            raise


async def _serve(held: Held, port: int, osc: int) -> None:
    daemon = Daemon(held, port=port, osc=osc)
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(daemon.interrupt))
    else:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup and shells have it
                loop.add_signal_handler(name, daemon.interrupt)
    await daemon.run()
