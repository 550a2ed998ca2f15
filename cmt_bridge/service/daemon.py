"""The daemon of a folder: what is started in which order, and what it does for those who ask."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from cmt_bridge.config import Watching, read_config, watched
from cmt_bridge.errors import CmtBridgeError, UsageError
from cmt_bridge.service.dispatch import Fields, Json
from cmt_bridge.service.events import Events
from cmt_bridge.service.finder import Finder
from cmt_bridge.service.http import HttpServer
from cmt_bridge.service.instance import Held, hold
from cmt_bridge.service.jobs import JobTable
from cmt_bridge.service.operations import OPERATIONS, Services
from cmt_bridge.service.osc import OscControl
from cmt_bridge.service.runner import LANES, Runner
from cmt_bridge.service.spool import Spool
from cmt_bridge.service.stage import Stage
from cmt_bridge.service.status import DaemonStatus

__all__ = ["Daemon", "watch"]

log = logging.getLogger(__name__)

JOBS, SPOOL = "jobs.db", "spool"
MEND_EVERY = 1.0  # s, between two looks whether the state folder is whole
FORCED = 130  # exit code after a second Ctrl-C
SECONDS_PER_MINUTE = 60


class Daemon:
    """Watch a folder, run its jobs, and answer: this is the desk that HTTP, OSC and the spool hand requests to.

    `port` and `osc` are ports of the control API (0: one that is free) and of OSC (0: none).
    """

    def __init__(self, held: Held, *, port: int = 0, osc: int = 0) -> None:
        self.folder = held.folder
        self.events = Events()
        self._held = held
        self._ports = port, osc
        self._stopping = asyncio.Event()
        self._services: Services | None = None

    async def run(self) -> None:
        """Start in order, run until it is stopped, and stop in the reverse order."""
        async with AsyncExitStack() as started:
            started.enter_context(watched(self.folder))
            config = self._watching()
            release = config.release * SECONDS_PER_MINUTE
            table = JobTable(self._held.state / JOBS)
            started.callback(table.close)
            self._recover(table)
            finder = Finder(self.folder, table, lambda: runner.wake())
            runner = Runner(
                self.folder, table, self.events.publish, finder.forget, lambda: finder.is_there, release=release
            )
            started.push_async_callback(runner.close)
            stage = Stage(self.folder, self.events.publish, release)
            self._services = Services(self.folder, table, finder, runner, stage, self.stop)
            port, osc = self._ports
            server = HttpServer(self, self._held.token, port)
            await server.start()
            started.push_async_callback(server.stop)
            if osc or config.osc:
                listener = OscControl(self, self._held.token, osc or config.osc)
                log.info("OSC at port %d", await listener.start())
                started.push_async_callback(listener.stop)
            started.push_async_callback(stage.close)
            await stage.start()
            tasks = [asyncio.create_task(runner.run(lane)) for lane in LANES]
            tasks.append(asyncio.create_task(finder.run()))
            tasks.append(asyncio.create_task(self._mend(table)))
            tasks.append(asyncio.create_task(Spool(self, self._held.state / SPOOL).run()))
            started.push_async_callback(_end, tasks)
            started.push_async_callback(finder.stop)
            self._held.announce(server.port)
            log.info("watching %s (process %d, port %d)", self.folder, os.getpid(), server.port)
            await self._wait(tasks)
            log.info("stopping")

    @property
    def status(self) -> DaemonStatus | None:
        """How the daemon is; None before it has started."""
        return self._services.status if self._services is not None else None

    async def handle(self, operation: str, fields: Fields) -> Json | None:
        """Carry out an operation, as `Desk.handle` says. Raises `UsageError` before the daemon has started."""
        if self._services is None:
            raise UsageError("The daemon has not started yet.", hint="Try again in a moment.")
        return await OPERATIONS[operation](self._services, fields)

    def stop(self) -> None:
        """Begin to end; return at once."""
        self._stopping.set()

    def _watching(self) -> Watching:
        """Return how the folder is to be watched; as usual where its configuration cannot be read, as the looks say."""
        try:
            return read_config(self.folder).watch
        except UsageError:
            return Watching()

    def _recover(self, table: JobTable) -> None:
        """Take up what a daemon before this one left."""
        for notice in filter(None, (self._held.note, table.notice)):
            log.warning("%s", notice)
        for job in table.recover():
            log.info("%s goes on where it was stopped", job.path)
        table.prune()

    async def _mend(self, table: JobTable) -> None:
        """Bring back what is deleted of the state folder; raises `UsageError` where another daemon took it over."""
        said = ""
        while True:
            await asyncio.sleep(MEND_EVERY)
            try:
                notices = [await asyncio.to_thread(self._held.mend), table.mend()]
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
