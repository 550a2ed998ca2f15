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
"""

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
    "error_of",
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


def error_of(code: int, sentence: str, *, hint: str = "") -> CmtBridgeError:
    """Give the error that another process met, by its exit code."""
    return _DOORS.get(code, CmtBridgeError)(sentence, hint=hint)
