"""Files that reach their final name only complete, and never over another."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cmt_bridge.errors import OutputError

__all__ = ["complete_folder", "complete_path", "cut", "file_name", "fresh_path", "is_temporary", "sha256_of"]

LONGEST_NAME = 100  # bytes in UTF-8, so that there is room for more
UNNAMEABLE = '/\\:*?"<>|'
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
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
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
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
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


def fresh_path(path: Path) -> Path:
    """Give `path` where nothing is there yet, else the first of `NAME (2)`, `NAME (3)`, … that is free."""
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return candidate


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
