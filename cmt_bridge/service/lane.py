"""A lane: one worker process at a time, started when it is needed and let go when it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from cmt_bridge.ipc.child import ChildProcess, how_it_ended

__all__ = ["Lane", "LaneError"]

log = logging.getLogger(__name__)

WORKER: Final = "cmt_bridge.service.worker"
KILLED = -9  # what the end of a process by SIGKILL looks like


class LaneError(Exception):
    """The worker ended in the middle of a request; the message says how."""


class Lane:
    """A worker process and the requests it is given, one after the other.

    The process is started by the first request. After `release` seconds without one it is ended, and with it goes the
    model it had loaded.
    """

    def __init__(self, name: str, release: float) -> None:
        self.name = name
        self.release = release
        self._worker: ChildProcess | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The worker's process, None where there is none at the moment."""
        return self._worker.pid if self._worker is not None and self._worker.is_running else None

    async def ask(self, message: Mapping[str, Any], told: Callable[[str, float], None]) -> dict[str, Any]:
        """Send a request to the worker and return the message that ends it. Raises `LaneError` where it dies of it.

        Where the waiting is cancelled, or `told` raises something, the worker is ended: it would go on else.
        """
        async with self._busy:
            self._keep()
            try:
                return await self._answer(await self._started(), message, told)
            except LaneError:
                raise
            except OSError as error:
                await self._end()
                raise LaneError(f"The process that composes cannot be started: {error}.") from error
            except BaseException:
                await self._end()
                raise
            finally:
                self._let_go_later()

    async def _started(self) -> ChildProcess:
        if self._worker is None or not self._worker.is_running:
            self._worker = await ChildProcess.start(f"{self.name} worker", WORKER)
            log.info("%s %d started", self._worker.name, self._worker.pid)
        return self._worker

    async def _answer(
        self, worker: ChildProcess, message: Mapping[str, Any], told: Callable[[str, float], None]
    ) -> dict[str, Any]:
        worker.send(message)
        while (answer := (await worker.inbox.get())[1]) is not None:
            if "stage" not in answer:
                return answer
            told(str(answer["stage"]), float(answer["share"]))
        code = worker.exit_code or 0
        hint = " The system may have run out of memory." if code == KILLED else ""
        raise LaneError(f"The process that composes {how_it_ended(code)}.{hint}")

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.release, self._let_go)

    def _let_go(self) -> None:
        """Begin to end the worker."""
        worker, self._worker = self._worker, None
        if worker is not None and worker.is_running:
            task = asyncio.create_task(self._ended(worker))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def _end(self) -> None:
        """End the worker; who waits for that may be cancelled, and it is ended all the same."""
        self._let_go()
        if self._endings:
            await asyncio.wait(self._endings)

    async def _ended(self, worker: ChildProcess) -> None:
        await worker.end()
        log.info("%s %d ended", worker.name, worker.pid)

    async def close(self) -> None:
        """End the worker, if there is one."""
        self._keep()
        await self._end()
