"""The errors a caller may meet, one class per door.

    CmtBridgeError                 exit 1    something known went wrong
    ├── UsageError                 exit 2    an option or argument cannot be used
    ├── InputError                 exit 3    a file that was given cannot be used
    │   ├── VideoError                       … as a video
    │   ├── MidiError                        … as a MIDI file
    │   ├── ScoreError                       … as a score, metadata or array file
    │   └── CheckpointError                  … as model weights
    ├── MissingError               exit 4    something to install or download is not there
    └── OutputError                exit 5    the result cannot be written
    (interrupt)                    exit 130  Ctrl-C; nothing half-written stays behind
    (closed pipe)                  exit 141  nobody reads the output any more

Each message is one sentence that says what is wrong; `hint` says what to do about it.

Between processes an error is `{"error": sentence, "hint": sentence, "code": exit code}`, whichever way it goes: HTTP,
WebSocket, files of the spool, lines of a child process.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

__all__ = [
    "CheckpointError",
    "CmtBridgeError",
    "InputError",
    "MidiError",
    "MissingError",
    "OutputError",
    "ScoreError",
    "UsageError",
    "VideoError",
    "known_error",
]


class CmtBridgeError(Exception):
    """Root of all errors raised on purpose; carries a hint and an exit code."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} {self.hint}" if self.hint else message

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON: `error`, its sentence; `hint`, what to do about it; `code`, its exit code."""
        return {"error": super().__str__(), "hint": self.hint, "code": self.exit_code}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CmtBridgeError:
        """Return the error that another process met, of the class of its exit code.

        `data` is as `to_json` returns it; further keys do not matter, and `hint` may be missing. Raises `KeyError`,
        `TypeError` or `ValueError` where it is no such object.
        """
        kind = _DOORS.get(int(data["code"]), CmtBridgeError)
        return kind(str(data["error"]), hint=str(data.get("hint", "")))


class UsageError(CmtBridgeError):
    """An option or argument cannot be used."""

    exit_code = 2


class InputError(CmtBridgeError):
    """A file that was given cannot be used."""

    exit_code = 3


class VideoError(InputError):
    """A file cannot be used as a video."""


class MidiError(InputError):
    """A file cannot be used as a MIDI file."""


class ScoreError(InputError):
    """A file cannot be used as a score, as video metadata or as an array file of the original."""


class CheckpointError(InputError):
    """A file cannot be used as model weights."""


class MissingError(CmtBridgeError):
    """Something to install or to download is not there."""

    exit_code = 4


class OutputError(CmtBridgeError):
    """The result cannot be written."""

    exit_code = 5


_DOORS = {kind.exit_code: kind for kind in (CmtBridgeError, UsageError, InputError, MissingError, OutputError)}


def known_error(error: BaseException, *, hint: str = "") -> CmtBridgeError:
    """Return any exception as an error of this tree.

    One of the tree stays as it is. What the operating system refuses is an `OutputError`. Anything else is an internal
    error, with `hint` as what to do about it. The exception is the cause of what is returned.
    """
    match error:
        case CmtBridgeError():
            return error
        case OSError():
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            file = f": {error.filename}" if error.filename else ""
            found: CmtBridgeError = OutputError(
                f"{error.strerror or error}{file}.", hint="Free some space, then run it again." if full else ""
            )
        case MemoryError():
            found = CmtBridgeError("out of memory.", hint="Close other programs, or use a smaller file.")
        case _:
            found = CmtBridgeError(f"internal error: {error!r}.", hint=hint)
    found.__cause__ = error
    return found
