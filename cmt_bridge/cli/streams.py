"""The standard streams: there always are some, and what cannot be written to them does no harm.

A stream that was closed before the program began is one that nothing comes out of; else the next file that is opened
would get its number, and with it all that is printed. Who stops reading stdout (`| head -1`) ends the program without a
word, and a stderr that takes nothing more holds up nothing.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, Final, TextIO

__all__ = ["prepare"]

PIPE_CLOSED: Final = 141  # 128 + SIGPIPE, as shells count


def prepare() -> None:
    """Put the streams in order; to be called before anything is opened or said."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _silence(number)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _guarded(sys.stdout, sys.__stdout__, 1, _Out)
    sys.stderr = _guarded(sys.stderr, sys.__stderr__, 2, _Err)


def _guarded(stream: TextIO | None, original: TextIO | None, number: int, kind: type[io.FileIO]) -> TextIO:
    """Give a stream that writes through `kind`; one that somebody put in the place of the system's stays."""
    if stream is not None and (stream is not original or sys.platform == "win32"):
        return stream
    said: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        said = {
            "encoding": stream.encoding,
            "errors": stream.errors,
            "line_buffering": stream.line_buffering,
            "write_through": stream.write_through,
        }
    return io.TextIOWrapper(io.BufferedWriter(kind(number, "wb", closefd=False)), **said)


class _Out(io.FileIO):
    """Standard output: where nobody reads any more, there is nothing left to do."""

    def write(self, data: Any, /) -> int:
        """Write bytes. Raises `SystemExit` where nobody reads them, and `OSError`."""
        try:
            return super().write(data)
        except OSError as error:
            _silence(self.fileno())  # so that what is left in buffers does not fail again
            if error.errno == errno.EPIPE:
                raise SystemExit(PIPE_CLOSED) from None
            raise


class _Err(io.FileIO):
    """Standard error: what cannot be said is not said."""

    def write(self, data: Any, /) -> int:
        """Write bytes, or pass over them."""
        try:
            return super().write(data)
        except OSError:
            _silence(self.fileno())
            return len(data)


def _silence(number: int) -> None:
    """Let a stream lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
