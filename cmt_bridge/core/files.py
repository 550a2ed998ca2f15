"""Files that reach their final name only complete, never over another, and never by way of a stranger's link.

A folder `NAME.cmt` may have come from somebody else. From it downwards no link is followed, neither to read nor to
write: `opened` and `is_there` are how files there are looked at, and what writes checks the folder it writes to.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import IO, Final

from cmt_bridge.errors import OutputError

__all__ = [
    "OLD",
    "PROJECT_SUFFIX",
    "complete_folder",
    "complete_path",
    "cut",
    "file_name",
    "fresh_path",
    "inside",
    "is_plain_name",
    "is_temporary",
    "is_there",
    "new_file",
    "new_folder",
    "numbered",
    "of_one_file",
    "open_regular",
    "opened",
    "read_at_most",
    "read_regular",
    "sha256_of",
    "short",
    "sweep",
    "with_addition",
]

PROJECT_SUFFIX: Final = ".cmt"
LONGEST_NAME = 100  # bytes in UTF-8, so that there is room for more
LONGEST_TITLE = 180  # bytes of a name that names of other files begin with
MOST_BYTES = 255  # of a name, as file systems have it
MARK_DIGITS = 8
UNNAMEABLE = '/\\:*?"<>|'
OLD: Final = 600.0  # s; what nobody has written to for longer, and nobody holds, was left by a process that is gone
SWEPT_FOR: Final = 0.2  # s; thousands of files may be written to one folder, one after the other
# fmt: off
LISTS_OF_FILES: Final = frozenset({
    "avisynth", "concat", "dash", "hls", "image2", "image2pipe", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp",
    "vapoursynth", "vobsub", "webm_dash_manifest",
})
# fmt: on
A_LINK: Final = "it is a link, and in a project none is followed"
NO_FILE: Final = "it is no file"
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.part(\.\w+)?", re.DOTALL)
_SHORT_SUFFIX = re.compile(r"\.\w{1,16}")
_BENEATH = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")


# Reading


def opened(path: Path) -> BufferedReader:
    """Open a file to read; from a project folder downwards only where no part of the path is a link.

    Raises `OSError`.
    """
    root, names = _beneath(path)
    if not names:
        return path.open("rb")
    handle = _open_beneath(root, names) if _BENEATH else _open_checked(root, names)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return os.fdopen(handle, "rb")


def read_at_most(path: Path, most: int) -> bytes:
    """Read a file as `opened` opens it, to one byte more than `most`. Raises `OSError`."""
    with opened(path) as file:
        return file.read(most + 1)


def open_regular(path: Path, *, follow: bool = False) -> IO[bytes]:
    """Open a regular file to read, without a buffer; what else may bear its name never holds up who asks.

    A link is followed only where `follow` says so. Raises `OSError`.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return os.fdopen(handle, "rb", buffering=0)


def read_regular(path: Path, most: int, *, follow: bool = False) -> bytes:
    """Read a file as `open_regular` opens it, to one byte more than `most`. Raises `OSError`."""
    with open_regular(path, follow=follow) as file:
        pieces = []
        while most >= 0 and (piece := file.read(most + 1)):
            pieces.append(piece)
            most -= len(piece)
    return b"".join(pieces)


def is_there(path: Path) -> bool:
    """Return whether something goes by that name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def is_plain_name(name: str) -> bool:
    """Return whether a text that data states is the name of a file, and no way to another folder, on any system."""
    return bool(name) and name not in (".", "..") and not any(letter in "/\\\0" for letter in name)


def inside(path: Path, folder: Path) -> bool:
    """Return whether a path leads to somewhere in a folder or below it, by whatever links it does."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _beneath(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the folder that holds the outermost project folder of a path, and the names from there on, if there is
    one.

    >>> _beneath(Path("/films/clip.cmt/take 1/clip.mid"))
    (PosixPath('/films'), ('clip.cmt', 'take 1', 'clip.mid'))
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100  (without `..`, which would lead around what is looked at)
    for number, name in enumerate(whole.parts):
        if name.endswith(PROJECT_SUFFIX) and len(name) > len(PROJECT_SUFFIX):
            return Path(*whole.parts[:number]), whole.parts[number:]
    return whole, ()


def _open_beneath(root: Path, names: tuple[str, ...]) -> int:
    """Open what lies beneath a folder, name by name."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names[:-1]:
            within = _open_at(name, os.O_RDONLY | os.O_DIRECTORY, folder, root)
            os.close(folder)
            folder = within
        return _open_at(names[-1], os.O_RDONLY | os.O_NONBLOCK, folder, root)  # a pipe is not waited for
    finally:
        os.close(folder)


def _open_at(name: str, flags: int, folder: int, root: Path) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        link = error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and _is_link_at(name, folder)
        raise OSError(error.errno, A_LINK if link else error.strerror, str(root / name)) from None


def _is_link_at(name: str, folder: int) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    return False


def _open_checked(root: Path, names: tuple[str, ...]) -> int:
    """Do as `_open_beneath` where a system cannot: look at every name, open, and look whether it is the same file."""
    before = _check_beneath(root, names)
    handle = os.open(Path(root, *names), os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    after = os.fstat(handle)
    if before is None or (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
        os.close(handle)
        raise OSError(errno.ELOOP, A_LINK, str(Path(root, *names)))
    return handle


def _check_beneath(root: Path, names: tuple[str, ...]) -> os.stat_result | None:
    """Return how the last of some names beneath a folder is; None where it is missing. Raises `OSError` for a link."""
    path, found = root, None
    for name in names:
        path = path / name
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", False):
            raise OSError(errno.ELOOP, A_LINK, str(path))
    return found


def of_one_file(containers: Iterable[str]) -> dict[str, str]:
    """Return the options with which FFmpeg opens a film and nothing but it, of the names of the containers it knows.

    A playlist goes by any name, and may name any file of the person's, or an address on the net.
    """
    return {"protocol_whitelist": "file", "format_whitelist": ",".join(sorted({*containers} - LISTS_OF_FILES))}


# Writing


def is_temporary(name: str) -> bool:
    """Return whether a file or folder is called as what was being written when a process was killed."""
    return _TEMPORARY.fullmatch(name) is not None


def _refuse(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"Cannot write {path}: {reason}.", hint="Free some space or choose another place with -o.")


@contextmanager
def complete_path(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Return a temporary path beside `path` to write to; at the end it is synced and renamed into place.

    The folder it is in is made where it is missing, unless `parents` says that it must be there. Where the body fails
    nothing stays behind and what was at `path` before is untouched. An `OSError` of the body or of the renaming becomes
    an `OutputError`.
    """
    try:
        with _temporary_file(path, parents=parents) as temporary:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)
    except OSError as error:
        raise _refuse(path, error) from error


@contextmanager
def complete_folder(path: Path, *, parents: bool = True) -> Iterator[Path]:
    """Return a temporary folder beside `path` to fill; at the end all in it is synced and it is renamed into place.

    `path` must not exist yet, or be an empty folder; the folder it is in is made where it is missing, unless `parents`
    says that it must be there. Where the body fails nothing stays behind.
    """
    try:
        with _temporary_folder(path, parents=parents) as temporary:
            yield temporary
            _sync_all(temporary)
            _put_folder(temporary, path)
    except OSError as error:
        raise _refuse(path, error) from error


def new_file(names: Iterable[Path], write: Callable[[Path], object], *, parents: bool = True) -> Path:
    """Write a file under the first of some names in a folder that nobody has, and return it; complete or not at all.

    Of several processes that do so at once each gets a name of its own. `write` gets the path to write to; `parents` is
    as in `complete_path`. Raises `OutputError`.
    """
    left = iter(names)
    path = _next_free(left)
    try:
        with _temporary_file(path, parents=parents) as temporary:
            write(temporary)
            _sync(temporary)
            while not _put_file(temporary, path):
                path = _next_free(left)
            _sync_folder(path.parent)
    except OSError as error:
        raise _refuse(path, error) from error
    return path


def new_folder(names: Iterable[Path], fill: Callable[[Path], object], *, parents: bool = True) -> Path:
    """Fill a folder under the first of some names that nobody has, as `new_file` does with a file."""
    left = iter(names)
    path = _next_free(left)
    try:
        with _temporary_folder(path, parents=parents) as temporary:
            fill(temporary)
            _sync_all(temporary)
            while True:
                try:
                    _put_folder(temporary, path)
                    return path
                except OSError:
                    if not is_there(path):
                        raise
                    path = _next_free(left)
    except OSError as error:
        raise _refuse(path, error) from error


def _next_free(names: Iterator[Path]) -> Path:
    return next(path for path in names if not is_there(path) or _is_empty_folder(path))


def _is_empty_folder(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISDIR(path.lstat().st_mode) and not any(path.iterdir())
    return False


@contextmanager
def _temporary_file(path: Path, *, parents: bool) -> Iterator[Path]:
    """Return a path to write to that is gone afterwards, if it was not renamed; held, so that nobody sweeps it away."""
    suffix = path.suffix if _SHORT_SUFFIX.fullmatch(path.suffix) else ""
    temporary = path.with_name(f".{short(path.stem, LONGEST_NAME)}.{secrets.token_hex(4)}.part{suffix}")
    _check_place(path)
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        with _held(handle):
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _temporary_folder(path: Path, *, parents: bool) -> Iterator[Path]:
    """Return a folder to fill that is gone afterwards, if it was not renamed, with those above it that were made."""
    temporary = path.with_name(f".{short(path.name, LONGEST_NAME)}.{secrets.token_hex(4)}.part")
    _check_place(path)
    made = [parent for parent in (path.parent, *path.parent.parents) if not parent.exists()]
    try:
        temporary.mkdir(parents=parents)
        sweep(path.parent)
        handle = os.open(temporary, os.O_RDONLY) if os.name == "posix" else -1
        with _held(handle):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def _check_place(path: Path) -> None:
    """Raise `OSError` where a project is to be written to by way of a link."""
    root, names = _beneath(path)
    _check_beneath(root, names[:-1])


def _put_file(temporary: Path, path: Path) -> bool:
    """Return a file its name unless somebody has it; return whether it has it now."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError):  # a file system without hard links
        if is_there(path):
            return False
        temporary.rename(path)
    return True


def _put_folder(temporary: Path, path: Path) -> None:
    if _is_empty_folder(path):
        path.rmdir()
    if is_there(path):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    temporary.rename(path)  # fails where somebody has put a folder there in between
    _sync_folder(path.parent)


def _sync_all(folder: Path) -> None:
    for each in folder.rglob("*"):
        _sync_folder(each) if each.is_dir() else _sync(each)
    _sync_folder(folder)


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


# What killed processes left

if sys.platform == "win32":

    @contextmanager
    def _held(handle: int) -> Iterator[None]:
        """Close the handle: what is open cannot be renamed here."""
        if handle >= 0:
            os.close(handle)
        yield

    def _is_held(path: Path) -> bool:  # noqa: ARG001
        """Return whether a living process writes it; False where that cannot be known."""
        return False

else:
    import fcntl

    @contextmanager
    def _held(handle: int) -> Iterator[None]:
        """Hold what is written by a lock, which the system lets go when the process ends, however that comes."""
        try:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
        finally:
            os.close(handle)

    def _is_held(path: Path) -> bool:
        """Return whether a living process writes it; False where that cannot be known."""
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EAGAIN, errno.EACCES)
        finally:
            os.close(handle)
        return False


_swept: dict[Path, float] = {}


def sweep(folder: Path) -> None:
    """Remove from a folder what was being written there, long ago, by processes that are gone.

    A folder that was looked through a moment ago is not looked through again.
    """
    here, now = folder.absolute(), time.monotonic()
    if now - _swept.get(here, -math.inf) < SWEPT_FOR:
        return
    _swept[here] = now
    with suppress(OSError), os.scandir(here) as entries:
        for path in [here / entry.name for entry in entries if is_temporary(entry.name)]:
            with suppress(OSError):
                found = path.lstat()
                if stat.S_ISLNK(found.st_mode) or abs(time.time() - found.st_mtime) <= OLD or _is_held(path):
                    continue
                shutil.rmtree(path, ignore_errors=True) if stat.S_ISDIR(found.st_mode) else path.unlink()


# Names


def numbered(path: Path) -> Iterator[Path]:
    """Yield `path`, then `NAME (2)`, `NAME (3)`, …, without end."""
    yield path
    for number in count(2):
        yield with_addition(path, f" ({number})")


def fresh_path(path: Path) -> Path:
    """Return `path` where nothing is there yet, else the first of `NAME (2)`, `NAME (3)`, … that is free."""
    return next(candidate for candidate in numbered(path) if not is_there(candidate))


def with_addition(path: Path, addition: str) -> Path:
    """Return a path whose name says something more before its suffix; a name that gets too long is shortened."""
    room = MOST_BYTES - len(os.fsencode(addition + path.suffix))
    return path.with_name(f"{short(path.stem, room)}{addition}{path.suffix}")


def short(text: str, longest: int = LONGEST_TITLE) -> str:
    """Return a name of up to so many bytes: as it is, or its beginning with a mark that tells it from others like it.

    The same name is always shortened to the same. What is left of the usual length is enough for all that is added
    where names of other files begin with it.
    """
    data = os.fsencode(text)
    if len(data) <= longest:
        return text
    mark = f"~{hashlib.sha256(data).hexdigest()[:MARK_DIGITS]}"
    return cut(text, longest - len(mark)) + mark


def cut(text: str, longest: int) -> str:
    """Return a text without its end where it has more bytes in UTF-8 than that."""
    return text.encode(errors="replace")[:longest].decode(errors="ignore").rstrip()


def file_name(text: str) -> str:
    """Return a text as a part of a file's name that every system takes, of up to 100 bytes."""
    kept = "".join(letter if letter.isprintable() and letter not in UNNAMEABLE else "_" for letter in text)
    return cut(kept.strip(" ."), LONGEST_NAME).rstrip(".") or "_"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
