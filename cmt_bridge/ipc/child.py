"""The parent's side: start a child process, send it messages, receive its own, end it.

`ChildProcess` is for a parent with an event loop, `BlockingChild` for one without. What every child may count on and
has to keep to is in `cmt_bridge.ipc.serve`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from cmt_bridge.ipc.serve import Message

__all__ = ["BlockingChild", "ChildProcess", "Inbox", "command_line", "how_it_ended"]

LONGEST_LINE: Final = 1 << 22  # bytes of a message
GRACE = 5.0  # s, for a child to end by itself
NEW_SESSION: Final = sys.platform != "win32"  # Ctrl-C in a terminal is for whoever started the child


def command_line(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in a process of its own, such as `cmt_bridge.service.worker`.

    The folder in which it is started is no place to import from: that may be a stranger's.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def how_it_ended(code: int) -> str:
    """Return in words how a process ended whose exit code, as `subprocess` states it, is `code`."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


class ChildProcess:
    """A child of a parent with an event loop. Its messages wait in an inbox, and None follows the last of them.

    >>> child = await ChildProcess.start("worker", "cmt_bridge.service.worker")
    >>> child.send({"verb": "score", "request": request})
    >>> _, message = await child.inbox.get()
    >>> await child.end()
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, inbox: Inbox) -> None:
        self.name = name
        self.inbox = inbox
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, module: str, inbox: Inbox | None = None) -> ChildProcess:
        """Start a module as a child.

        `name` is what it is called in messages to people. Several children may share an `inbox`; without one it has its
        own. Raises `OSError` where no process can be started.
        """
        process = await asyncio.create_subprocess_exec(
            *command_line(module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=NEW_SESSION,
        )
        return cls(name, process, asyncio.Queue() if inbox is None else inbox)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.returncode

    def redirect(self, inbox: Inbox) -> None:
        """Put the messages that come from now on into another inbox."""
        self.inbox = inbox

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, without waiting; do nothing where the child has ended."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            with suppress(OSError, ValueError):
                self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def order(self, do: str, **fields: Any) -> None:
        """Send the message `{"do": do, **fields}`."""
        self.send({"do": do, **fields})

    async def drain(self) -> None:
        """Wait until the child has read so much that there is room for more."""
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):
                await self._process.stdin.drain()

    async def end(self) -> int:
        """End the child's input and wait until it has ended; kill it where it does not. Return its exit code."""
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE)
        except TimeoutError:
            self._kill()
            await self._process.wait()
        await self._reading
        return self._process.returncode or 0

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self.inbox.put_nowait((self, json.loads(line)))
        except ValueError:  # no JSON, or a line without end: it cannot be understood any more
            self._kill()
        await self._process.wait()
        self.inbox.put_nowait((self, None))


Inbox = asyncio.Queue[tuple[ChildProcess, Message | None]]
"""Where the messages of children wait, each with the child it is from."""


class BlockingChild:
    """A child of a parent without an event loop.

    `receive` is called with each of its messages, and with None after the last, in a thread that does nothing else.
    """

    def __init__(self, module: str, receive: Callable[[Message | None], None]) -> None:
        self._process = subprocess.Popen(command_line(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._receive = receive
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; do nothing where the child has ended."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def terminate(self) -> None:
        """End the child by SIGTERM and wait until it has ended; kill it where it does not."""
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            try:
                for line in lines:
                    self._receive(json.loads(line))
            except ValueError:
                self._process.kill()
        self._receive(None)
