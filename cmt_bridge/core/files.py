"""Files that reach their final name only complete, and never over another."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cmt_bridge.errors import OutputError

__all__ = ["complete_folder", "complete_path", "fresh_path", "sha256_of"]


def _refuse(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"Cannot write {path}: {reason}.", hint="Free some space or choose another place with -o.")


@contextmanager
def complete_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; at the end it is synced and renamed into place.

    Where the body fails nothing stays behind and what was at `path` before is untouched. An `OSError` of the body or
    of the renaming becomes an `OutputError`.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _refuse(path, error) from error


@contextmanager
def complete_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path` to fill; at the end its files are synced and it is renamed into place.

    `path` must not exist yet, or be an empty folder. Where the body fails nothing stays behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    made: list[Path] = []
    try:
        try:
            made = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.iterdir():
                with file.open("rb+") as handle:
                    os.fsync(handle.fileno())
            if path.is_dir():
                path.rmdir()  # fails where something is in it
            temporary.rename(path)
            made = []
        finally:
            if temporary.is_dir():
                for file in temporary.iterdir():
                    file.unlink()
                temporary.rmdir()
            for parent in made:
                if parent.is_dir() and not any(parent.iterdir()):
                    parent.rmdir()
    except OSError as error:
        raise _refuse(path, error) from error


def fresh_path(path: Path) -> Path:
    """Give `path` where nothing is there yet, else the first of `NAME take 2`, `NAME take 3`, … that is free."""
    take = 1
    candidate = path
    while candidate.exists():
        take += 1
        candidate = path.with_name(f"{path.stem} take {take}{path.suffix}")
    return candidate


def sha256_of(path: Path) -> str:
    """Give the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
