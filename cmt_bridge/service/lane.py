"""A lane: one worker process at a time, started when it is needed and let go when it is not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

__all__ = ["Lane", "LaneError"]

log = logging.getLogger(__name__)

LONGEST_LINE = 1 << 22
GRACE = 5.0  # s, for a worker to end by itself
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
        self._process: asyncio.subprocess.Process | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The worker's process, None where there is none at the moment."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def ask(self, message: Mapping[str, Any], told: Callable[[str, float], None]) -> dict[str, Any]:
        """Give a request to the worker and wait for the message that ends it. Raises `LaneError` where it dies of it.

        Where the waiting is cancelled, or `told` raises something, the worker is ended: it would go on else.
        """
        async with self._busy:
            self._keep()
            try:
                return await self._answer(await self._started(), message, told)
            except LaneError:
                raise
            except (OSError, ValueError) as error:
                await self._end()
                raise LaneError(f"The process that composes cannot be talked to: {error}.") from error
            except BaseException:
                await self._end()
                raise
            finally:
                self._let_go_later()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "cmt_bridge.service.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LONGEST_LINE,
                start_new_session=os.name == "posix",  # Ctrl-C is for the daemon, which ends its workers in order
            )
            log.info("%s worker %d started", self.name, self._process.pid)
        return self._process

    async def _answer(
        self, process: asyncio.subprocess.Process, message: Mapping[str, Any], told: Callable[[str, float], None]
    ) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # it ended meanwhile, and how is told below
            process.stdin.write(json.dumps(message).encode() + b"\n")
            await process.stdin.drain()
        while line := await process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if "stage" not in answer:
                return answer
            told(str(answer["stage"]), float(answer["share"]))
        code = await process.wait()
        reason = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        hint = " The system may have run out of memory." if code == KILLED else ""
        raise LaneError(f"The process that composes {reason}.{hint}")

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_go_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.release, self._let_go)

    def _let_go(self) -> None:
        """Begin to end the worker."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            task = asyncio.create_task(self._ended(process))
            self._endings.add(task)
            task.add_done_callback(self._endings.discard)

    async def _end(self) -> None:
        """End the worker; who waits for that may be cancelled, and it is ended all the same."""
        self._let_go()
        if self._endings:
            await asyncio.wait(self._endings)

    async def _ended(self, process: asyncio.subprocess.Process) -> None:
        """End a process: by ending its input, and by force where that does not help."""
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            with suppress(OSError):
                process.kill()
            await process.wait()
        log.info("%s worker %d ended", self.name, process.pid)

    async def close(self) -> None:
        """End the worker, if there is one."""
        self._keep()
        await self._end()
