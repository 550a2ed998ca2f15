"""A process of ours that is told things and says things, a line of JSON each."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

__all__ = ["Child"]

LONGEST_LINE = 1 << 22
GRACE = 5.0  # s, for it to end by itself

Message = dict[str, Any]


class Child:
    """A process of a module; what it says waits in `inbox`, None at its end."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, inbox: asyncio.Queue[tuple[Child, Message | None]]
    ):
        self.name = name
        self._process = process
        self._inbox = inbox
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, module: str, inbox: asyncio.Queue[tuple[Child, Message | None]]) -> Child:
        """Start `python -m module`."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=sys.platform != "win32",  # Ctrl-C in a terminal is for whoever started it
        )
        return cls(name, process, inbox)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.returncode is None

    @property
    def code(self) -> int | None:
        """Its exit code, None where it runs."""
        return self._process.returncode

    def redirect(self, inbox: asyncio.Queue[tuple[Child, Message | None]]) -> None:
        """Have what it says from now on wait elsewhere."""
        self._inbox = inbox

    def say(self, do: str, **more: Any) -> None:
        """Tell it something; nothing where it has ended."""
        self.tell({"do": do, **more})

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell it something; nothing where it has ended."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            with suppress(OSError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def drain(self) -> None:
        """Wait until it has taken in what it was told."""
        if self._process.stdin is not None:
            with suppress(OSError):
                await self._process.stdin.drain()

    async def end(self) -> int:
        """Let its input end and wait for it; give its exit code. One that does not end is killed."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reading
        return self._process.returncode or 0

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(ValueError, OSError):
            while line := await self._process.stdout.readline():
                self._inbox.put_nowait((self, json.loads(line)))
        await self._process.wait()
        self._inbox.put_nowait((self, None))
