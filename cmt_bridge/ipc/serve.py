"""The child's side: a process that receives messages, sends its own, and ends when its parent does.

A child calls `begin` first. Its input ends when the parent closes it or is gone, however that comes, and then the child
ends too. Standard output belongs to the messages: what a library prints goes to standard error.
"""

from __future__ import annotations

import _thread
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, Final, NoReturn

from cmt_bridge.errors import UsageError

__all__ = ["Channel", "LossyChannel", "Message", "Receiver", "be_nice", "begin", "end_on_sigterm", "read_message"]

TIDYING: Final = 3.0  # s, to clear away what is half-written once the input has ended
MOST_WAITING: Final = 64  # messages of a lossy channel that nobody reads; what comes then is lost

Message = dict[str, Any]


def begin(*, niceness: int = 0) -> IO[str]:
    """Set this process up as a child; return the file to which its messages are to be written.

    Standard output is from now on a copy of standard error. Ctrl-C is ignored: whoever started the child decides when
    it ends. `niceness` is added to the priority as `os.nice` has it, where that is allowed.
    """
    file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    try:
        os.dup2(2, 1)
    except OSError:  # there is no standard error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if niceness:
        be_nice(niceness)
    return file


def be_nice(niceness: int) -> None:
    """Lower the priority of this process, or of this thread on Linux; raise it where negative, if that is allowed."""
    with suppress(OSError, AttributeError):
        os.nice(niceness)


def end_on_sigterm() -> None:
    """Raise `SystemExit` in the main thread at SIGTERM, so that what is half-written is cleared away."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(*_: Any) -> NoReturn:
    raise SystemExit(0)


class Channel:
    """Messages to the parent. `send` waits until the parent reads, and raises `SystemExit` where it is gone."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. May be called from any thread."""
        self.write(json.dumps(message) + "\n")

    def write(self, line: str) -> None:
        """Send a message that is a line of JSON already."""
        try:
            with self._lock:
                self._file.write(line)
                self._file.flush()
        except (OSError, ValueError):
            raise SystemExit(0) from None


class LossyChannel:
    """Messages to the parent from where nothing may wait: they are lost where too many are not read."""

    def __init__(self, file: IO[str]) -> None:
        self._channel = Channel(file)
        self._lines: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, or lose it; never wait."""
        with suppress(queue.Full):
            self._lines.put_nowait(json.dumps(message) + "\n")

    def close(self) -> None:
        """Wait a second at most until all is sent."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(1.0)

    def _write(self) -> None:
        with suppress(SystemExit):
            while (line := self._lines.get()) is not None:
                self._channel.write(line)


def read_message() -> Message | None:
    """Return the next message of the parent, None where the input has ended. Raises `UsageError` for no JSON object."""
    line = sys.stdin.readline()
    if not line:
        return None
    try:
        message = json.loads(line)
    except ValueError as error:
        raise UsageError(f"A line cannot be understood: {error!r}.") from error
    if not isinstance(message, dict):
        raise UsageError("A line cannot be understood: it is no JSON object.")
    return message


class Receiver:
    """Messages of the parent, read by a thread. When the input ends, so does the process, `tidying` seconds later.

    In these seconds the main thread may clear away what is half-written and end by itself: it receives None, and where
    `interrupt` is set it meets SIGTERM in the midst of what it does.
    """

    def __init__(self, *, tidying: float = TIDYING, interrupt: bool = False) -> None:
        self._messages: queue.Queue[Message | None] = queue.Queue()
        self._again: list[Message | None] = []
        self._tidying, self._interrupt = tidying, interrupt
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def is_empty(self) -> bool:
        """Whether no message waits."""
        return not self._again and self._messages.empty()

    def get(self) -> Message | None:
        """Wait for a message and return it; None where the input has ended."""
        return self._again.pop() if self._again else self._messages.get()

    def get_nowait(self) -> Message | None:
        """Return a message that waits, None where the input has ended. Raises `queue.Empty` where none waits."""
        return self._again.pop() if self._again else self._messages.get_nowait()

    def put_back(self, message: Message | None) -> None:
        """Make what was received last the next to be received again."""
        self._again.append(message)

    def _read(self) -> None:
        with suppress(OSError, UsageError):
            while (message := read_message()) is not None:
                self._messages.put(message)
        self._messages.put(None)
        if self._interrupt:
            _thread.interrupt_main(signal.SIGTERM)
        time.sleep(self._tidying)
        os._exit(0)
