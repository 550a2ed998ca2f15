"""The note beside a clip that says why it has no score."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from cmt_bridge.core.files import complete_path, open_regular, read_regular, short
from cmt_bridge.errors import OutputError

__all__ = ["reason_file", "take_back", "tell"]

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 16  # of a note
HEAD = "This clip was not scored:"
WHEN_CHANGED = "It is tried again when the file changes."
WHEN_IN_ORDER = "It is tried again when that is in order."
TAIL = "This note is cmt-bridge's own, and goes when the clip has its score."


def reason_file(clip: Path) -> Path:
    """Return the file that says why a clip has no score."""
    return clip.with_name(f"{short(clip.name)} was not scored.txt")


def tell(clip: Path, reason: str, *, waits: bool = False) -> bool:
    """Write beside a clip why it has no score; return whether that is news.

    `waits`: the reason is not in the clip. A file of that name that is not ours is left alone.
    """
    path = reason_file(clip)
    text = f"{HEAD} {clip.name}\n\n{reason}\n\n{WHEN_IN_ORDER if waits else WHEN_CHANGED} {TAIL}\n"
    if not clip.parent.is_dir() or (path.exists() and (not _is_ours(path) or _says(path, text))):
        return False
    try:
        with complete_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OutputError as error:
        log.warning("%s", error)
    return True


def take_back(clip: Path) -> None:
    """Remove the note beside a clip, if there is one of ours."""
    path = reason_file(clip)
    if _is_ours(path):
        with suppress(OSError):
            path.unlink()


def _is_ours(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(HEAD)) == HEAD.encode()
    except OSError:
        return False


def _says(path: Path, text: str) -> bool:
    try:
        return read_regular(path, MOST_BYTES) == text.encode()
    except (OSError, ValueError):
        return False
