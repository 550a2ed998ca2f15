"""The log of a daemon: lines on stderr, or a file that does not grow for ever."""

from __future__ import annotations

import logging
import logging.handlers
import os
from pathlib import Path
from typing import TextIO

__all__ = ["LOG_NAME", "begin", "last_lines"]

LOG_NAME = "daemon.log"
MOST_BYTES = 1 << 20
KEPT_FILES = 2
FORM = "%(asctime)s %(levelname)s %(message)s"


def begin(path: Path | None) -> None:
    """Write what the daemon says to a file, or to stderr where that is None."""
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(
            path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, encoding="utf-8", errors="backslashreplace"
        )
    handler.setFormatter(logging.Formatter(FORM))
    root = logging.getLogger("cmt_bridge")
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log that is begun anew where its file was deleted or moved away; without a folder for it nothing is written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        try:
            if self.stream is not None and not _bears(self.stream, Path(self.baseFilename)):
                self.stream.close()
                self.stream = None
            if self.stream is None:
                self.stream = self._open()
        except OSError:
            return
        super().emit(record)


def _bears(stream: TextIO, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except OSError:
        return False


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log; none where there is no log yet."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
