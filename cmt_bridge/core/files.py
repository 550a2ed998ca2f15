"""Files that reach their final name only complete, and never over another."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cmt_bridge.errors import OutputError

__all__ = [
    "complete_folder",
    "complete_path",
    "cut",
    "file_name",
    "fresh_path",
    "is_temporary",
    "open_regular",
    "read_regular",
    "sha256_of",
    "short",
    "with_addition",
]

LONGEST_NAME = 100  # bytes in UTF-8, so that there is room for more
LONGEST_TITLE = 180  # bytes of a name that names of other files begin with
MOST_BYTES = 255  # of a name, as file systems have it
MARK_DIGITS = 8
UNNAMEABLE = '/\\:*?"<>|'
_SUFFIX = re.compile(r"\.\w{1,16}")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.\w+)?", re.DOTALL)


def is_temporary(name: str) -> bool:
    """Tell whether a file or folder is called as what was being written when a process was killed."""
    return _TEMPORARY.fullmatch(name) is not None


def _refuse(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"Cannot write {path}: {reason}.", hint="Free some space or choose another place with -o.")


@contextmanager
def complete_path(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; at the end it is synced and renamed into place.

    The folder it is in is made where it is missing, unless `parents` says that it must be there. Where the body fails
    nothing stays behind and what was at `path` before is untouched. An `OSError` of the body or of the renaming becomes
    an `OutputError`.
    """
    suffix = path.suffix if _SUFFIX.fullmatch(path.suffix) else ""
    temporary = path.with_name(f".{short(path.stem)}.{secrets.token_hex(4)}.part{suffix}")
    try:
        try:
            if parents:
                path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _refuse(path, error) from error


@contextmanager
def complete_folder(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; at the end all in it is synced and it is renamed into place.

    `path` must not exist yet, or be an empty folder; the folder it is in is made where it is missing, unless `parents`
    says that it must be there. Where the body fails nothing stays behind.
    """
    temporary = path.with_name(f".{short(path.name)}.{secrets.token_hex(4)}.part")
    made: list[Path] = []
    try:
        try:
            made = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
            temporary.mkdir(parents=parents)
            yield temporary
            for each in temporary.rglob("*"):
                _sync_folder(each) if each.is_dir() else _sync(each)
            _sync_folder(temporary)
            if path.is_dir():
                path.rmdir()  # fails where something is in it
            temporary.rename(path)
            _sync_folder(path.parent)
            made = []
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            for parent in made:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
    except OSError as error:
        raise _refuse(path, error) from error


def _sync(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a power cut, on systems where folders can be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def open_regular(path: Path, *, follow: bool = False) -> IO[bytes]:
    """Open a regular file to read, without a buffer; what else may bear its name never holds up who asks.

    A link is followed only where `follow` says so. Raises `OSError`, of `EINVAL` where it is no regular file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return os.fdopen(handle, "rb", buffering=0)


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """Read a regular file, as `open_regular` opens it, but no more than `most` bytes and one.

    Where more than `most` bytes come, the file is too long.
    """
    with open_regular(path, follow=follow) as file:
        pieces = []
        while most >= 0 and (piece := file.read(most + 1)):
            pieces.append(piece)
            most -= len(piece)
    return b"".join(pieces)


def fresh_path(path: Path) -> Path:
    """Give `path` where nothing is there yet, else the first of `NAME take 2`, `NAME take 3`, … that is free."""
    take = 1
    candidate = path
    while candidate.exists():
        take += 1
        candidate = with_addition(path, f" take {take}")
    return candidate


def with_addition(path: Path, addition: str) -> Path:
    """Give a path whose name says something more before its suffix; a name that gets too long is shortened."""
    room = MOST_BYTES - len(os.fsencode(addition + path.suffix))
    return path.with_name(f"{short(path.stem, room)}{addition}{path.suffix}")


def short(text: str, longest: int = LONGEST_TITLE) -> str:
    """Give a name of up to so many bytes: as it is, or its beginning with a mark that tells it from others like it.

    The same name is always shortened to the same. What is left of the usual length is enough for all that is added
    where names of other files begin with it.
    """
    data = os.fsencode(text)
    if len(data) <= longest:
        return text
    mark = f"~{hashlib.sha256(data).hexdigest()[:MARK_DIGITS]}"
    return cut(text, longest - len(mark)) + mark


def cut(text: str, longest: int) -> str:
    """Give a text without its end where it has more bytes in UTF-8 than that."""
    return text.encode(errors="replace")[:longest].decode(errors="ignore").rstrip()


def file_name(text: str) -> str:
    """Give a text as a part of a file's name that every system takes, of up to 100 bytes."""
    kept = "".join(letter if letter.isprintable() and letter not in UNNAMEABLE else "_" for letter in text)
    return cut(kept.strip(" ."), LONGEST_NAME).rstrip(".") or "_"


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
