"""The active notes of a port: which notes sound, in a file that outlives whoever wrote it.

A byte for each channel and pitch is set before a note goes out, and cleared after its end did. The file is mapped into
memory, so that a killed process leaves it as true as it was at that moment, and the next one on the same port can end
each note that still hangs.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path

from cmt_bridge.errors import OutputError

__all__ = ["CHANNELS", "ActiveNotes"]

CHANNELS = 16
PITCHES = 128
SIZE = CHANNELS * PITCHES


class ActiveNotes:
    """Which keys sound; a key is channel × 128 + pitch. Without a path it is kept in memory only.

    `hanging` are the keys that whoever wrote the file before left sounding. Raises `OutputError` where the file cannot
    be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.hanging: tuple[int, ...] = ()
        self._map: mmap.mmap | bytearray = bytearray(SIZE)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                os.lseek(handle, 0, os.SEEK_END)
                os.write(handle, bytes(max(0, SIZE - os.fstat(handle).st_size)))  # on disk, so that no byte can fail
                self._map = mmap.mmap(handle, SIZE)
            finally:
                os.close(handle)
        except OSError as error:
            raise OutputError(f"Cannot use {path}: {error.strerror}.", hint="Check its folder.") from error
        self.hanging = self.sounding()

    def add(self, key: int) -> None:
        """Write down that a note begins; to be called before it goes out."""
        self._map[key] = 1

    def discard(self, key: int) -> None:
        """Write down that a note has ended; to be called after its end went out."""
        self._map[key] = 0

    def __contains__(self, key: int) -> bool:
        return self._map[key] != 0

    def sounding(self) -> tuple[int, ...]:
        """Return the keys that sound."""
        return tuple(key for key, byte in enumerate(bytes(self._map)) if byte)

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._map, mmap.mmap):
            with suppress(BufferError, ValueError):
                self._map.close()
        self._map = bytearray(SIZE)
